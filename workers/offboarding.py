"""A tenant ends: its own copy first, then its webhooks, its keys and itself.

Each step may be taken again, so a command that was cut off is simply repeated. Nothing is
removed: the log is append-only, and what was delivered stays known.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString
from uuid import UUID

from domain.application import Log
from domain.log.entry import OPERATOR, Context
from domain.tenancy import commands as tenancy
from domain.webhooks import commands as webhooks
from projections.log.recorder import environment
from projections.sql import Queries
from workers import exporting
from workers.exporting import Exported

QUERIES = Queries("workers", "offboarding.sql")
REASON = "offboarding"
# Another process remembers a key for a second, and what it took by then may wait for the
# log for 5 s: only after both is the log's end its end.
LAST_REQUESTS_SECONDS = 7.0


def offboard(
    url: str,
    tenant_id: UUID,
    path: Path,
    tell: Callable[[str], None],
    *,
    wait_seconds: float = LAST_REQUESTS_SECONDS,
) -> Exported:
    """End the tenant for good; its whole log is in `path` then.

    The first export may take long, and the tenant goes on meanwhile; what it adds in that
    time is little. When it fails nothing else is done. Raises ExportError, DomainError,
    OSError, psycopg.Error.
    """
    first = exporting.export(url, tenant_id, path)
    tell(f"{first.events:,} events are in {path}")
    log = Log(environment(url, "daybook_app"))
    try:
        _end(log, url, tenant_id, tell)
    finally:
        log.close()
    tell("it has ended; waiting for what its keys had begun")
    time.sleep(wait_seconds)
    return exporting.export(url, tenant_id, path)


def _end(log: Log, url: str, tenant_id: UUID, tell: Callable[[str], None]) -> None:
    by_operator = Context(OPERATOR, operator=True)
    tenancy.suspend_tenant(log, by_operator, tenant_id, REASON)
    tell("suspended: its keys may do nothing, nothing is attempted")
    owned = _ids(url, QUERIES["webhooks"], tenant_id)
    for webhook_id in owned:
        webhooks.delete(log, Context(OPERATOR), tenant_id, webhook_id)
    tell(f"{len(owned)} webhooks deleted: what they were owed is cancelled")
    owned = _ids(url, QUERIES["keys"], tenant_id)
    for key_id in owned:
        tenancy.revoke_key(log, Context(OPERATOR), tenant_id, key_id)
    tell(f"{len(owned)} keys revoked")
    tenancy.offboard_tenant(log, Context(OPERATOR, operator=True), tenant_id)


def _ids(url: str, query: LiteralString, tenant_id: UUID) -> list[UUID]:
    with (
        exporting.connected(url) as connection,
        exporting.of_tenant(connection, tenant_id),
    ):
        rows = connection.execute(query, {"tenant_id": tenant_id}).fetchall()
    return [row.id for row in rows]
