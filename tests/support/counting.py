"""A projection for tests: writes down each event it is given, once if all is well.

Also a process that runs it: `python -m tests.support.counting URL`. While it applies a
batch it holds an advisory lock that bears its process id, so a test knows whom to kill.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from projections.log import wakeup
from projections.postgres import Connection
from projections.projection import Batch, LogDamaged, NeedsNewerCode, Policy
from projections.runner import Runner
from workers import logs
from workers.settings import LogSettings

NAME = "counting"
AT_WORK = 4711  # class of the advisory lock of whoever applies a batch

TABLE = """
    create table public.counted (
        n bigint generated always as identity primary key,
        log_position bigint not null, event_id text not null, stream text not null,
        version bigint not null, worker int not null);
    grant select, insert on public.counted to daybook_worker;
    insert into daybook.checkpoints (name) values ('counting')
"""
READ = """
    select log_position, event_id, stream, version, type from events
    where log_position > %(after)s and log_position <= %(through)s order by log_position
"""
WRITE = """
    insert into public.counted (log_position, event_id, stream, version, worker)
    select log_position, event_id, stream, version, %(worker)s from events
    where log_position > %(after)s and log_position <= %(through)s
        and log_position <> all(%(left_out)s)
    order by log_position
"""
COUNTED = "select log_position, event_id from public.counted order by n"
LOGGED = """
    select log_position, event_id, tenant_id, position, recorded_at
    from daybook.events order by log_position
"""


class Counting:
    """Counts. `bad` types cannot be applied, `newer` ones need another program."""

    name = NAME

    def __init__(
        self,
        *,
        policy: Policy = "pause",
        version: int = 1,
        size: int = 500,
        delay: float = 0.0,
        bad: Collection[str] = (),
        newer: Collection[str] = (),
    ) -> None:
        self.policy: Policy = policy
        self.version = version
        self.bad, self.newer = set(bad), set(newer)
        self.batches: list[Batch] = []  # those tried
        self.through = 0  # the last position of a batch that was committed
        self.longest_silence = 0.0  # seconds from one such batch to the next
        self._size, self._delay = size, delay
        self._last: float | None = None

    def batch_size(self) -> int:
        """How many events the next batch may have."""
        return self._size

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Write the batch down, if nothing in it is bad."""
        self.batches.append(batch)
        await connection.execute(
            "select pg_advisory_xact_lock_shared(%s, %s)", (AT_WORK, os.getpid())
        )
        cursor = await connection.execute(READ, batch.params())
        rows = await cursor.fetchall()
        _require_all(batch, [row.log_position for row in rows])
        self._look_at([r for r in rows if r.log_position not in batch.left_out])
        await connection.execute(WRITE, batch.params() | {"worker": os.getpid()})
        if self._delay:
            await connection.execute("select pg_sleep(%s)", (self._delay,))

    def applied(self, batch: Batch) -> None:
        """Note how far it is, and how long that took."""
        self.through, now = batch.through, time.monotonic()
        if self._last is not None:
            self.longest_silence = max(self.longest_silence, now - self._last)
        self._last = now

    def excuse(self) -> None:
        """The silence that began before now is nobody's fault."""
        self._last = None

    def _look_at(self, rows: Sequence[Any]) -> None:
        for row in rows:
            if row.type in self.newer:
                raise NeedsNewerCode(f"{row.type} at {row.log_position}")
            if row.type in self.bad:
                # With what a database cannot hold, as an error that quotes its input.
                raise ValueError(f"bad \0 event at {row.log_position}")


def _require_all(batch: Batch, positions: list[int]) -> None:
    if positions != list(range(batch.after + 1, batch.through + 1)):
        raise LogDamaged(f"of {batch} only {len(positions)} are in the log, in order")


def judge(connection: psycopg.Connection[Any]) -> int:
    """Exactly what is in the log was counted, in order, once; how many there are."""
    counted = connection.execute(COUNTED).fetchall()
    logged = connection.execute(LOGGED).fetchall()
    for number, (seen, there) in enumerate(zip(counted, logged, strict=False), 1):
        assert tuple(seen) == (number, there[1]), f"at {number}: {seen} is not {there}"
    assert len(counted) == len(logged), f"{len(counted)} counted of {len(logged)}"
    require_dense(logged)
    return len(logged)


def require_dense(logged: Sequence[Any]) -> None:
    """Positions 1, 2, 3 ... in the log and in each tenant; times never go back."""
    heads: dict[Any, int] = {}
    for number, (log_position, _, tenant_id, position, _) in enumerate(logged, 1):
        assert log_position == number, f"log position {number} is {log_position}"
        assert position == heads.get(tenant_id, 0) + 1, f"a hole before {log_position}"
        heads[tenant_id] = position
    assert all(earlier[4] <= later[4] for earlier, later in pairwise(logged))


def at_work(connection: psycopg.Connection[Any]) -> int | None:
    """The process that applies a batch right now."""
    row = connection.execute(
        "select objid::int as worker from pg_locks where locktype = 'advisory'"
        " and classid = %s and database = ("
        "select oid from pg_database where datname = current_database())",
        (AT_WORK,),
    ).fetchone()
    return row and int(row[0])


def admin(url: str) -> psycopg.Connection[Any]:
    """A connection that sees everything, rows as named tuples."""
    return psycopg.connect(
        url,
        autocommit=True,
        row_factory=namedtuple_row,
        options="-c search_path=daybook,public -c timezone=UTC",
    )


async def run(url: str, counting: Counting) -> None:
    """Run it until cancelled, woken by the log."""
    runner = Runner(url, counting)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        tasks.create_task(
            wakeup.listen(url, "daybook_worker", lambda channel: runner.wake())
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--delay", type=float, default=0.0)
    given = parser.parse_args()
    with logs.writing(LogSettings(log_level="error")):
        asyncio.run(run(given.url, Counting(size=given.size, delay=given.delay)))


if __name__ == "__main__":
    main()
