"""A read model of a million events rebuilt while events arrive, the worker killed half way.

Readers ask throughout and always find every stream they know; parity passes; the pointer
moves; what arrived meanwhile is there. `python3 start.py soak rebuild`.
"""

import argparse
import asyncio
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import namedtuple_row
from rich.progress import Progress

from benchmarks import filling
from domain import ids
from domain.log.entry import Entry
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.support.processes import cluster, product
from tests.support.waiting import eventually

TENANTS = 20
ARRIVALS_A_SECOND = 200
PAGE = """
    select stream, version from daybook.stream_heads
    where tenant_id = %s and generation = daybook.live_generation('streams')
    order by stream limit 50
"""
START = """
    insert into daybook.rebuilds (rebuild_id, name, version, state, target, asked_by)
    select %s, 'streams', 1, 'running', log_position, 'soak'
    from daybook.checkpoints where name = 'streams'
"""
PROGRESS = "select state, log_position, target, parity, error from daybook.rebuilds"
LAG = """
    select (select max(log_position) from daybook.events) - log_position as lag
    from daybook.checkpoints where name = 'streams'
"""
# Streams whose row differs from what the log says, either way.
WRONG = """
    select count(*) as n from (
        select tenant_id, stream, max(version) as version from daybook.events group by 1, 2
    ) l full join (
        select tenant_id, stream, version from daybook.stream_heads
        where generation = daybook.live_generation('streams')
    ) s using (tenant_id, stream)
    where l.version is distinct from s.version
"""


@dataclass
class Reads:
    """What readers met."""

    count: int = 0
    slowest_ms: float = 0.0
    is_over: bool = False


def connected(url: str) -> psycopg.Connection[Any]:
    """As a superuser, to look at everything."""
    return psycopg.connect(url, autocommit=True, row_factory=namedtuple_row)


def read(url: str, reads: Reads) -> None:
    """Ask for pages until it is over; each must be full."""
    with connected(url) as connection:
        while not reads.is_over:
            begun = time.monotonic()
            tenant_id = filling.tenant(reads.count % TENANTS)
            rows = connection.execute(PAGE, (tenant_id,)).fetchall()
            reads.slowest_ms = max(reads.slowest_ms, (time.monotonic() - begun) * 1e3)
            assert len(rows) == 50, "a reader found less than there is"
            reads.count += 1


async def arrive(url: str, reads: Reads) -> int:
    """200 events a second until it is over; how many."""
    appender = Appender(url, "daybook_app")
    appender.start()
    count, begun = 0, time.monotonic()
    while not reads.is_over:
        entry = Entry(
            tenant_id=filling.tenant(count % TENANTS),
            event_id=ids.fresh("evt"),
            stream=f"arrived/{count % 1000}",
            type="soak.arrived",
            state=b"{}",
        )
        await appender.append(Request([entry]))
        count += 1
        await asyncio.sleep(
            max(0.0, begun + count / ARRIVALS_A_SECOND - time.monotonic())
        )
    await asyncio.to_thread(appender.close)
    return count


def fill(url: str, events: int, progress: Progress) -> None:
    """So many events in half as many streams."""
    task = progress.add_task("filling", total=events)
    with connected(url) as connection:
        for first in range(1, events, 10_000):
            last = min(events, first + 9_999)
            filling.events(
                connection,
                first,
                last,
                tenants=TENANTS,
                types=["a.x"],
                streams=events // 2,
            )
            progress.update(task, completed=last)
        connection.execute("vacuum analyze")


def run(events: int, progress: Progress) -> str:
    """The whole run; what to say of it."""
    with (
        cluster() as postgres,
        tempfile.TemporaryDirectory() as folder,
        product(postgres.url, Path(folder)) as made,
        connected(postgres.url) as admin,
    ):
        fill(postgres.url, events, progress)
        worker = made.work()
        eventually(lambda: admin.execute(LAG).fetchone().lag == 0, 300)
        reads = Reads()
        threads = [threading.Thread(target=read, args=(postgres.url, reads))]
        arrivals: list[int] = []
        threads.append(
            threading.Thread(
                target=lambda: arrivals.append(asyncio.run(arrive(postgres.url, reads)))
            )
        )
        for thread in threads:
            thread.start()
        admin.execute(START, (uuid4(),))
        begun = time.monotonic()
        task = progress.add_task("rebuilding", total=events)

        def passed(position: int) -> bool:
            row = admin.execute(PROGRESS).fetchone()
            progress.update(task, completed=row.log_position)
            return bool(row.state != "running" or row.log_position >= position)

        eventually(lambda: passed(events // 2), 300)
        worker.kill()
        stopped_at = admin.execute(PROGRESS).fetchone().log_position
        worker.start()
        eventually(lambda: passed(10**12), 300)
        seconds = time.monotonic() - begun
        reads.is_over = True
        for thread in threads:
            thread.join()
        row = admin.execute(PROGRESS).fetchone()
        assert row.state == "switched", row
        assert row.parity["equal"], row.parity
        eventually(lambda: admin.execute(LAG).fetchone().lag == 0, 60)
        assert admin.execute(WRONG).fetchone().n == 0
    return (
        f"{events:,} events rebuilt in {seconds:.0f} s with {arrivals[0]:,} arriving; "
        f"killed at {stopped_at:,} and resumed; {reads.count:,} reads answered, slowest "
        f"{reads.slowest_ms:.0f} ms; parity {row.parity['rebuilt'][0]:,} rows equal"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    with Progress() as progress:
        verdict = run(events, progress)
    print(verdict)


if __name__ == "__main__":
    main()
