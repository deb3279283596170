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
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from projections import poison, postgres, telemetry, tracing, waiting
from projections.failpoint import failpoint
from projections.postgres import Connection
from projections.projection import Batch, NeedsNewerCode, Projection
from projections.sql import Queries

QUERIES = Queries("projections.log", "tail.sql")
# A wake-up may be lost; this is the longest that costs.
POLL_SECONDS = 0.5
# Before an event that failed is tried again: at once, then ever more seldom.
BACKOFF_SECONDS = (0.0, 0.1, 0.5, 2.0, 10.0)
# A wake-up, which may be an operator's decision, ends that wait, but not sooner than this:
# on a busy log wake-ups come all the time.
SOONEST_SECONDS = 1.0
# And before a database that is away is tried again.
AWAY_SECONDS = (0.1, 0.1, 0.2, 0.4, 1.0)

log = structlog.get_logger("daybook.projection")


class Runner:
    """One projection in one process; `wake` it when the log has grown."""

    def __init__(
        self,
        url: str,
        projection: Projection,
        *,
        waits: bool = True,
        gathers: float = 0.0,
    ) -> None:
        """`waits`: each commit, for the disk. It need not where a batch is nothing but rows
        made of the log: a crash of the server takes them and the checkpoint's move, and
        they are made again. What is done because of them, a request to a receiver first
        of all, is written down by a commit that waits, which takes all before it along.

        `gathers`: seconds from a wake-up to the batch, for what is in no hurry.
        """
        self._url = url
        self._waits, self._gathers = waits, gathers
        self._projection = projection
        telemetry.will_run(projection.name)
        self._wake = asyncio.Event()
        self._narrow: int | None = None  # while a failing batch is being halved
        self._trying: Batch | None = None
        self._failed: Batch | None = None  # what failed last, and how often in a row
        self._failures = 0
        self._refusals = 0  # how often in a row the database was away

    def wake(self) -> None:
        """There may be new events."""
        self._wake.set()

    async def run(self) -> None:
        """Apply batches until cancelled; outlives restarts of the database."""
        while True:
            try:
                await self._work()
            except Exception as error:
                if poison.is_passing(error):
                    log.warning("database_away", error=type(error).__name__)
                    await waiting.wake_up(self._wake, _at(AWAY_SECONDS, self._refusals))
                    self._refusals += 1
                else:
                    await self._fail(error)

    async def step(self) -> bool:
        """Apply one batch over a fresh connection; whether there was one. For tests."""
        async with await self._connect() as connection:
            return await self._step(connection)

    async def _work(self) -> None:
        """Batch after batch over one connection, until something goes wrong."""
        async with await self._connect() as connection:
            while True:
                try:
                    worked = await self._step(connection)
                except Exception as error:
                    if connection.broken:  # whatever was made of that: not the batch
                        raise psycopg.OperationalError("connection lost") from error
                    raise
                self._refusals = 0
                if not worked:
                    await waiting.wake_up(self._wake, POLL_SECONDS)
                    await asyncio.sleep(self._gathers)

    async def _connect(self) -> Connection:
        return await postgres.connect(
            self._url,
            "daybook_worker",
            f"projection {self._projection.name}",
            synchronous_commit="on" if self._waits else "off",
            # Batches differ too much in size for one plan to fit all.
            plan_cache_mode="force_custom_plan",
        )

    async def _step(self, connection: Connection) -> bool:
        self._trying = None
        begun = time.monotonic()
        name = {"name": self._projection.name}
        if not await self._may_work(connection):
            return False
        async with connection.transaction():
            own = await self._own(connection)
            if own is None:
                return False
            ahead = await postgres.one(connection, QUERIES["ahead"], name)
            batch = self._next(own.log_position, ahead.head, own.generation)
            self._trying = batch
            if batch.size > 0 and own.version > self._projection.version:
                raise NeedsNewerCode(f"its rows are of version {own.version}")
            if ahead.has_errors and await poison.try_again(
                connection, self._projection, own.generation
            ):
                return True
            if batch.size <= 0:
                return False
            failpoint("projection.owned")
            if ahead.has_errors:
                batch = await poison.without_errors(connection, name["name"], batch)
            await self._projection.apply(connection, batch)
            failpoint("projection.applied")
            await connection.execute(
                QUERIES["advance"], name | {"through": batch.through}
            )
            failpoint("projection.advanced")
        failpoint("projection.committed")
        seconds = time.monotonic() - begun
        telemetry.batch_applied(name["name"], batch.size, seconds)
        tracing.past("batch", seconds, projection=name["name"], events=batch.size)
        self._widen()
        self._projection.applied(batch)
        return True

    async def _may_work(self, connection: Connection) -> bool:
        name = {"name": self._projection.name}
        cursor = await connection.execute(QUERIES["has_work"], name)
        row = await cursor.fetchone()
        return row is None or bool(row.may_work)  # no row: owning it says why

    async def _own(self, connection: Connection) -> Any:
        """The checkpoint, ours until the transaction ends; None: another's, or paused."""
        name = {"name": self._projection.name}
        own = await (
            await connection.execute(QUERIES["own_checkpoint"], name)
        ).fetchone()
        if own is None:
            # Taken, or is it not there at all?
            query = QUERIES["checkpoint_exists"]
            if not (await postgres.one(connection, query, name)).found:
                raise LookupError(
                    f"no checkpoint named {name['name']!r}: a migration makes it"
                )
            return None
        return own if own.paused_by is None else None

    def _next(self, after: int, head: int, generation: int) -> Batch:
        size = self._projection.batch_size()
        if self._narrow is not None:
            size = min(size, self._narrow)
        return Batch(after, min(head, after + size), generation)

    def _widen(self) -> None:
        if self._narrow is not None:
            self._narrow *= 2
            if self._narrow >= self._projection.batch_size():
                self._narrow = None

    async def _fail(self, error: Exception) -> None:
        """Halve the batch; what fails alone is written down, and tried again later."""
        batch = self._trying
        name = self._projection.name
        telemetry.batch_failed(name)
        if batch is not None and batch.size > 1:
            kind = type(error).__name__
            log.warning("batch_failed", projection=name, batch=batch, error=kind)
            self._narrow = batch.size // 2
            return
        log.error("projection_failed", projection=name, batch=batch, exc_info=error)
        if batch is not None:
            await self._write_down(error, batch)
        self._failures = self._failures + 1 if batch == self._failed else 0
        self._failed = batch
        wait = _at(BACKOFF_SECONDS, self._failures)
        await asyncio.sleep(min(wait, SOONEST_SECONDS))
        if wait > SOONEST_SECONDS:
            await waiting.wake_up(self._wake, wait - SOONEST_SECONDS)

    async def _write_down(self, error: Exception, batch: Batch) -> None:
        """What went wrong with an event, for people to see, and what becomes of it.

        Under the checkpoint, and only where it still stands: meanwhile another process
        may have got past the event, and what is applied must not be set aside as well.
        """
        needs = str(error) if isinstance(error, NeedsNewerCode) else None
        failure = {
            "name": self._projection.name,
            "position": batch.through,
            "error": poison.text(error),
            "needs": needs and poison.storable(needs),
        }
        try:
            async with await self._connect() as connection, connection.transaction():
                own = await self._own(connection)
                if own is None or own.log_position != batch.after:
                    return
                await connection.execute(QUERIES["fail"], failure)
                if needs is None:
                    await poison.record(
                        connection, self._projection, batch.through, error
                    )
        except Exception as problem:
            # It will fail again, and be written down then.
            if not poison.is_passing(problem):
                log.exception("failure_not_written_down", projection=failure["name"])


def _at(steps: Sequence[float], number: int) -> float:
    return steps[min(number, len(steps) - 1)]
