"""What routes work with, opened when the process starts and closed when it ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from api import system_types
from api.authentication import Authenticator, Caller
from api.catalogue import Catalogue
from api.entrances import Entrances
from api.log import listing
from api.log.audience import Audience
from api.pagination import Cursors
from api.quotas import Quotas
from api.settings import ApiSettings
from api.system_types import Types
from domain.application import Log
from domain.log.entry import Appended, Entry
from projections import tracing
from projections.context import Contexts
from projections.log import views
from projections.log.claims import Claims
from projections.log.live import Tail
from projections.log.recorder import LogFactory, environment
from projections.log.request_queue import Request
from projections.postgres import Database, Link
from projections.rates import Rates
from projections.vault import Vault

# With one each for the appender, its notifier, the recorder, the tail and claims: 8.
TENANT_CONNECTIONS, OPERATOR_CONNECTIONS = 2, 1
# Its session holds claims: the server must notice soon when this host is lost.
_SOON_MISSED = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may reach for."""

    settings: ApiSettings
    log: Log
    database: Database  # one tenant's rows
    operator: Database  # tenants, keys and figures
    vault: Vault
    cursors: Cursors
    authenticator: Authenticator
    entrances: Entrances
    tail: Tail
    audience: Audience
    claims: Claims
    quotas: Quotas
    catalogue: Catalogue
    contexts: Contexts
    types: Types  # those that commands record
    # Counting what a replay would owe reads as much of the log as the replay does: one at
    # a time, so that publishers have the other connections.
    counting: asyncio.Semaphore

    async def append(
        self, caller: Caller, entries: Sequence[Entry], *, checked: int | None = None
    ) -> Sequence[Appended]:
        """Into the log, all or none; returns after the commit. Raises DomainError.

        `checked` is the head of the catalogue that they were checked against.
        """
        claim = caller.claim
        if claim is not None and claim.done is not None:
            claim.is_kept = True
            return claim.done
        appender = cast(LogFactory, self.log.factory).appender
        with tracing.span("append", entries=len(entries)):
            receipts = await appender.append(
                Request(entries, claim=claim, checked=checked)
            )
        if claim is not None:  # the answer can be made from the receipts at any time
            claim.is_kept = True
        return receipts

    async def head(self, tenant_id: UUID) -> int:
        """The last position of the tenant's log."""
        async with self.database.tenant(tenant_id) as connection:
            return await views.head(connection, tenant_id)


@asynccontextmanager
async def opened(settings: ApiSettings, contexts: Contexts) -> AsyncIterator[Services]:
    """The services of one process. On the way out, what waits for the log is appended."""
    url = settings.database_url
    vault = Vault(settings.secret_keys)
    database = Database(url, "daybook_app", "api", size=TENANT_CONNECTIONS)
    operator = Database(
        url, "daybook_operator", "api operator", size=OPERATOR_CONNECTIONS
    )
    async with AsyncExitStack() as stack:
        for pool in (database, operator):
            await pool.open()
            stack.push_async_callback(pool.close)
        edge = Link(url, "daybook_edge", "api edge", **_SOON_MISSED)
        stack.push_async_callback(edge.close)
        log = Log(environment(url, "daybook_app"), contexts.aggregates)
        stack.push_async_callback(asyncio.to_thread, log.close)
        authenticator = Authenticator(database, settings.operator_key)
        tail = Tail(url, database, operator, listing.rendered)
        audience = Audience(tail, authenticator)
        stack.push_async_callback(tail.close)
        stack.push_async_callback(audience.close)
        yield Services(
            settings=settings,
            log=log,
            database=database,
            operator=operator,
            vault=vault,
            cursors=Cursors(settings.secret_keys),
            authenticator=authenticator,
            entrances=Entrances(log),
            tail=tail,
            audience=audience,
            claims=Claims(edge),
            quotas=Quotas(Rates(edge), settings),
            catalogue=Catalogue(database),
            contexts=contexts,
            types=system_types.known(contexts),
            counting=asyncio.Semaphore(1),
        )
