"""Runs a projection: batches after its checkpoint, each with the checkpoint's move.

Any number of processes may run the same projection: the checkpoint's row lock makes one of
them the owner of each batch, and a batch is applied and its checkpoint moved in one
transaction, so each event is applied exactly once. A process that is killed frees the lock
with its socket, one that hangs is cut off by idle_in_transaction_session_timeout; the next
asks again within POLL_SECONDS.

A batch that fails is halved until one event stands alone; what becomes of it is the
projection's policy (see projections.poison).
"""

import asyncio

import structlog

from projections import poison, postgres
from projections.postgres import Connection
from projections.projection import Batch, NeedsNewerCode, Projection
from projections.sql import Queries

QUERIES = Queries("projections.log", "tail.sql")
# A wake-up may be lost; this is the longest that costs.
POLL_SECONDS = 0.5
# Before a stopped event is tried again: soon, in case it passes, then ever more seldom.
BACKOFF_SECONDS = (0.1, 0.5, 2.0, 10.0)

log = structlog.get_logger("daybook.projection")


class Runner:
    """One projection in one process; `wake` it when the log has grown."""

    def __init__(self, url: str, projection: Projection) -> None:
        self._url = url
        self._projection = projection
        self._wake = asyncio.Event()
        self._narrow: int | None = None  # while a failing batch is being halved
        self._failures = 0
        self._trying: Batch | None = None

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self) -> None:
        """Apply batches until cancelled; outlives restarts of the database."""
        while True:
            try:
                async with await self._connect() as connection:
                    while True:
                        if not await self._step(connection):
                            await self._idle(POLL_SECONDS)
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                await self._idle(BACKOFF_SECONDS[0])
            except NeedsNewerCode as error:
                await self._record(error, needs=str(error))
                await self._idle(BACKOFF_SECONDS[-1])
            except Exception as error:
                await self._fail(error)

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
            own = await cursor.fetchone()
            if own is None:
                await self._require_checkpoint(connection)
                return False
            if own.paused_by is not None:
                return False
            if own.version > self._projection.version:
                raise NeedsNewerCode(f"its rows are of version {own.version}")
            if own.has_errors and await poison.try_again(
                connection, self._projection, own.generation
            ):
                return True
            # A later statement than the lock's, hence with a snapshot of its own: what the
            # previous owner applied is seen.
            head = (await postgres.one(connection, QUERIES["head"])).head
            batch = self._next(own.log_position, head, own.generation)
            if batch.size <= 0:
                return False
            self._trying = batch
            if own.has_errors:
                batch = await poison.without_errors(connection, name, batch)
            await self._projection.apply(connection, batch)
            await connection.execute(
                QUERIES["advance"], {"name": name, "through": batch.through}
            )
        self._succeed()
        self._projection.applied(batch)
        return True

    def _next(self, after: int, head: int, generation: int) -> Batch:
        size = self._projection.batch_size()
        if self._narrow is not None:
            size = min(size, self._narrow)
        return Batch(after, min(head, after + size), generation)

    def _succeed(self) -> None:
        self._failures = 0
        if self._narrow is not None:
            self._narrow *= 2
            if self._narrow >= self._projection.batch_size():
                self._narrow = None

    async def _fail(self, error: Exception) -> None:
        batch = self._trying
        name = self._projection.name
        log.error("projection_failed", projection=name, batch=batch, exc_info=error)
        if batch is not None and batch.size > 1:
            self._narrow = batch.size // 2
            return
        await self._record(error)
        if batch is not None:
            await self._poisoned(batch.through, error)
        await self._idle(BACKOFF_SECONDS[min(self._failures, 3)])
        self._failures += 1

    async def _poisoned(self, position: int, error: Exception) -> None:
        try:
            async with await self._connect() as connection:
                await poison.record(connection, self._projection, position, error)
        except postgres.AWAY:
            pass  # it will fail again, and be recorded then

    async def _require_checkpoint(self, connection: Connection) -> None:
        name = self._projection.name
        query = QUERIES["checkpoint_exists"]
        if not (await postgres.one(connection, query, {"name": name})).found:
            raise LookupError(f"no checkpoint named {name!r}: a migration makes it")

    async def _record(self, error: Exception, needs: str | None = None) -> None:
        params = {
            "name": self._projection.name,
            "position": self._trying.through if self._trying else None,
            "error": poison.text(error),
            "needs": needs,
        }
        try:
            async with await self._connect() as connection:
                await connection.execute(QUERIES["fail"], params)
        except postgres.AWAY:
            pass  # it is in the process's log already

    async def _idle(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
