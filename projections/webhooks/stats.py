"""What became of a webhook's deliveries, from figures by the hour and from what is owed.

Figures are counted in the transaction that writes an attempt or a result (see 0024), and
gathered by workers; reading them costs the hours that are asked for, whatever happened in
them. What is still owed is counted as it is now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from projections import rows
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "stats.sql")
Bucket = Literal["hour", "day"]
# Of a histogram (see `bin_of`): how much wider each bin is, and which one ends at 1 ms.
WIDER, AT_ONE = 1.1, 25


class Figures(NamedTuple):
    """Of a bucket, or of all of them (`start` None). p50, p95, p99 are bins."""

    start: datetime | None
    succeeded: int
    dead: int
    cancelled: int
    attempts: int
    ms: float
    p50: int | None
    p95: int | None
    p99: int | None


class Waiting(NamedTuple):
    """How much is owed in a state: in all, and of those created in the interval."""

    state: str
    total: int
    within: int
    oldest: datetime | None


class Interval(NamedTuple):
    """From `since` to before `until`; live deliveries of the events `first` to `last`."""

    since: datetime
    until: datetime
    first: int
    last: int


async def figures(
    connection: Connection,
    tenant_id: UUID,
    webhook_id: UUID,
    interval: Interval,
    bucket: Bucket,
) -> list[Figures]:
    """What is finished, by bucket; and in all, last."""
    params = _params(tenant_id, webhook_id, interval) | {"bucket": bucket}
    return await rows.many(connection, Figures, QUERIES["figures"], params)


async def waiting(
    connection: Connection, tenant_id: UUID, webhook_id: UUID, interval: Interval
) -> list[Waiting]:
    """What is owed now."""
    params = _params(tenant_id, webhook_id, interval)
    return await rows.many(connection, Waiting, QUERIES["waiting"], params)


def milliseconds(bin_number: int) -> float:
    """The middle of a bin: what lies in it is within a twentieth of this."""
    return float(WIDER ** (bin_number - AT_ONE - 0.5))


def total(found: Sequence[Waiting], states: frozenset[str]) -> int:
    """How much is owed in these states."""
    return sum(each.total for each in found if each.state in states)


def _params(tenant_id: UUID, webhook_id: UUID, interval: Interval) -> dict[str, Any]:
    return interval._asdict() | {"tenant_id": tenant_id, "webhook_id": webhook_id}
