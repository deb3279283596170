"""Runs a projection: batches after its checkpoint, each with the checkpoint's move.

Any number of processes may run the same projection: the checkpoint's row lock makes one of
them the owner of each batch, and a batch is applied and its checkpoint moved in one
transaction, so each event is applied exactly once. A process that is killed frees the lock
with its socket, one that hangs is cut off by idle_in_transaction_session_timeout; the next
asks again within POLL_SECONDS.
"""

import asyncio

import psycopg
import structlog

from projections import postgres
from projections.postgres import Connection
from projections.projection import Projection, Span
from projections.sql import Queries

QUERIES = Queries("projections.log", "tail.sql")
# A wake-up may be lost; this is the longest that costs.
POLL_SECONDS = 0.5
# After a failure: soon, in case it passes (a deadlock, a restart), then ever more seldom.
BACKOFF_SECONDS = (0.1, 0.5, 2.0, 10.0)

log = structlog.get_logger("daybook.projection")


class Runner:
    """One projection in one process; `wake` it when the log has grown."""

    def __init__(self, url: str, projection: Projection) -> None:
        self._url = url
        self._projection = projection
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self) -> None:
        """Apply batches until cancelled; outlives restarts of the database."""
        failures = 0
        while True:
            try:
                async with await self._connect() as connection:
                    while True:
                        moved = await self._step(connection)
                        failures = 0
                        if not moved:
                            await self._idle(POLL_SECONDS)
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                await self._idle(BACKOFF_SECONDS[0])
            except Exception as error:
                log.exception("projection_failed", projection=self._projection.name)
                await self._record_failure(error)
                await self._idle(BACKOFF_SECONDS[min(failures, 3)])
                failures += 1

    async def step(self) -> bool:
        """Apply one batch over a fresh connection; whether there was one. For tests."""
        async with await self._connect() as connection:
            return await self._step(connection)

    async def _connect(self) -> Connection:
        connection = await postgres.connect(
            self._url, "daybook_worker", f"projection {self._projection.name}"
        )
        # Batches differ too much in size for one plan to fit all.
        connection.prepare_threshold = None
        return connection

    async def _step(self, connection: Connection) -> bool:
        name = self._projection.name
        async with connection.transaction():
            cursor = await connection.execute(QUERIES["own_checkpoint"], {"name": name})
            checkpoint = await cursor.fetchone()
            if checkpoint is None:
                await self._require_checkpoint(connection)
                return False
            # A later statement than the lock's, hence with a snapshot of its own: what the
            # previous owner applied is seen.
            head = (await postgres.one(connection, QUERIES["head"])).head
            after = checkpoint.log_position
            span = Span(after, min(head, after + self._projection.batch_size()))
            if span.size <= 0:
                return False
            await self._projection.apply(connection, span)
            await connection.execute(
                QUERIES["advance"], {"name": name, "through": span.through}
            )
        self._projection.applied(span)
        return True

    async def _require_checkpoint(self, connection: Connection) -> None:
        name = self._projection.name
        query = QUERIES["checkpoint_exists"]
        if not (await postgres.one(connection, query, {"name": name})).found:
            raise LookupError(f"no checkpoint named {name!r}: a migration makes it")

    async def _record_failure(self, error: Exception) -> None:
        params = {"name": self._projection.name, "error": str(error)[:2000]}
        try:
            async with await self._connect() as connection:
                await connection.execute(QUERIES["fail"], params)
        except psycopg.Error:
            pass  # it is in the process's log already

    async def _idle(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
