"""A live tail sees exactly what is committed, in order, once, whatever writers suffer.

Writer processes write groups of all sizes, conflict, dawdle in transactions of their own,
are stopped, continued, killed and replaced; Postgres is killed; a transaction stays open in
another database; autovacuum runs all the time and an index is made and dropped, again and
again. Then the log moves to a fresh cluster by dump and restore, and the tail goes on there
from its checkpoint. `python3 start.py soak gaps`; the suite runs a short one.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from rich.progress import Progress

from tests.support import counting
from tests.support.counting import Counting, admin
from tests.support.processes import Cluster, cluster
from tests.support.waiting import soon
from workers import logs
from workers.settings import LogSettings

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0  # seconds without progress after which the run has failed
# A vacuum and an analyze of the log every second while it grows.
AGGRESSIVE = """
    alter table daybook.events set (
        autovacuum_vacuum_insert_threshold = 500, autovacuum_vacuum_threshold = 50,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_scale_factor = 0,
        autovacuum_analyze_threshold = 500, autovacuum_analyze_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 0)
"""
VACUUMS = """
    select autovacuum_count + autoanalyze_count as n from pg_stat_user_tables
    where relid = 'daybook.events'::regclass
"""
INDEX = (
    "drop index concurrently if exists daybook.gaps_probe",
    "create index concurrently gaps_probe on daybook.events (recorded_at)",
    "drop index daybook.gaps_probe",
    "create index concurrently gaps_probe on daybook.events (recorded_at, state)",
)

Tell = Callable[[int], object]


@dataclass
class Writers:
    """Writer processes, each with the ledger of what it heard."""

    url: str
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    def start(self) -> None:
        """One more."""
        self.started += 1
        ledger = self.folder / f"{self.started}.ledger"
        arguments = [self.url, f"writer {self.started}", str(ledger)]
        self.running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.gap_writer", *arguments],
                stdin=subprocess.PIPE,
                cwd=ROOT,
            )
        )

    def replace(self, chosen: subprocess.Popen[bytes]) -> None:
        """SIGKILL, and another in its place."""
        chosen.kill()
        chosen.communicate()
        self.running.remove(chosen)
        self.start()

    def end(self) -> None:
        """Let them finish what they are at; all must end well."""
        for process in self.running:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(PATIENCE) for process in self.running] == [0] * len(
            self.running
        )
        self.running.clear()

    def kill(self) -> None:
        """At the end of a run that failed."""
        for process in self.running:
            process.kill()
            process.wait()


@dataclass
class Score:
    """What was done to whom, and what came of it."""

    deeds: Counter[str] = field(default_factory=Counter)
    events: int = 0
    refused: int = 0
    seconds: float = 0.0
    longest_silence: float = 0.0
    vacuums: int = 0
    indexes: int = 0
    moved_at: int = 0

    def __str__(self) -> str:
        deeds = ", ".join(f"{count} {deed}" for deed, count in self.deeds.items())
        return (
            f"{self.events:,} events in {self.seconds:.0f} s, 0 missed, 0 twice, no hole; "
            f"{self.refused:,} refused or rolled back stayed out; {deeds}; "
            f"{self.vacuums} vacuums, {self.indexes} indexes made; longest silence "
            f"{self.longest_silence:.2f} s; moved to a fresh cluster at {self.moved_at:,}"
        )


@asynccontextmanager
async def tailing(url: str) -> AsyncIterator[Counting]:
    """A live tail of the log: the product's own runner with a projection that counts."""
    tail = Counting()
    task = asyncio.create_task(counting.run(url, tail))
    try:
        yield tail
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def disturbed(url: str, score: Score) -> Iterator[None]:
    """An open transaction elsewhere, and an index made and dropped, all the time."""
    over = threading.Event()

    def stay_open() -> None:
        with psycopg.connect(make_conninfo(url, dbname="elsewhere")) as connection:
            connection.execute("create table if not exists public.held (n int)")
            connection.execute("insert into public.held values (1)")
            while not over.wait(0.1):
                connection.execute("select 1")
            connection.rollback()

    def make_indexes() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.is_set():
                for statement in INDEX:
                    connection.execute(statement.encode())
                score.indexes += 2
                over.wait(1.5)  # while it is at work, autovacuum lets the table be

    threads = [
        threading.Thread(target=_insist, args=(work, over))
        for work in (stay_open, make_indexes)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _insist(work: Callable[[], None], over: threading.Event) -> None:
    """Again, when Postgres was killed meanwhile."""
    while not over.is_set():
        try:
            work()
        except psycopg.Error:
            over.wait(0.1)


class Run:
    """One run: everything happens while the tail follows."""

    def __init__(
        self, postgres: Cluster, folder: Path, *, processes: int, tell: Tell
    ) -> None:
        self.score = Score()
        self._postgres = postgres
        self._url = postgres.url
        self._writers = Writers(postgres.url, folder)
        self._processes = processes
        self._tell = tell
        self._chance = random.Random(processes)

    async def live(self, events: int, rounds: int) -> None:
        """Until the tail has seen so many; then some more that it has not."""
        began = time.monotonic()
        with disturbed(self._url, self.score):
            for _ in range(self._processes):
                self._writers.start()
            async with tailing(self._url) as tail:
                deeds = self._deeds(rounds)
                for number, deed in enumerate(deeds, 1):
                    await self._until(tail, events * number // (len(deeds) + 1))
                    await deed(tail)
                await self._until(tail, events)
            await soon(lambda: head(self._url) > tail.through + 300, PATIENCE)
            await asyncio.to_thread(self._writers.end)
        self.score.vacuums += self._vacuums()
        self.score.moved_at = tail.through
        self.score.longest_silence = tail.longest_silence
        self.score.seconds = time.monotonic() - began

    async def restored(self, url: str, more: int) -> None:
        """The log elsewhere: the tail goes on from its checkpoint, and so do writers."""
        self._writers.url = url
        self._writers.start()
        async with tailing(url) as tail:
            await self._until(tail, head(self._url) + more)
            await asyncio.to_thread(self._writers.end)
            await soon(lambda: tail.through == head(url), PATIENCE)

    def kill(self) -> None:
        """Leave no writer behind."""
        self._writers.kill()

    def _deeds(self, rounds: int) -> list[Callable[[Counting], Awaitable[None]]]:
        to_writers = [self._stop_a_writer, self._kill_a_writer]
        return (to_writers * 2 + [self._kill_postgres]) * rounds

    async def _stop_a_writer(self, tail: Counting) -> None:
        """The others go on, if need be once the server has cut off what it held."""
        writer = self._chance.choice(self._writers.running)
        writer.send_signal(signal.SIGSTOP)
        await self._until(tail, tail.through + 1000)
        writer.send_signal(signal.SIGCONT)
        self.score.deeds["writers stopped"] += 1

    async def _kill_a_writer(self, tail: Counting) -> None:
        writer = self._chance.choice(self._writers.running)
        await asyncio.to_thread(self._writers.replace, writer)
        self.score.deeds["writers killed"] += 1

    async def _kill_postgres(self, tail: Counting) -> None:
        self.score.vacuums += self._vacuums()  # their count starts anew
        await asyncio.to_thread(self._postgres.kill)
        self.score.deeds["times Postgres killed"] += 1
        tail.excuse()

    def _vacuums(self) -> int:
        with admin(self._url) as connection:
            [row] = connection.execute(VACUUMS).fetchall()
        return int(row.n)

    async def _until(self, tail: Counting, position: int) -> None:
        """Until the tail is there; it must get on all the time."""
        while tail.through < position:
            seen = tail.through
            await soon(lambda seen=seen: tail.through > seen, PATIENCE)  # type: ignore[misc]
            self._tell(tail.through)


def prepare(url: str) -> None:
    """The tail's table, maintenance that never rests, another database."""
    with admin(url) as connection:
        connection.execute(counting.TABLE)
        connection.execute(AGGRESSIVE)
        connection.execute("alter system set autovacuum_naptime = '1s'")
        connection.execute("select pg_reload_conf()")
        connection.execute("create database elsewhere")


def head(url: str) -> int:
    """The last position of the log."""
    with admin(url) as connection:
        [row] = connection.execute(
            "select coalesce(max(log_position), 0) as head from events"
        ).fetchall()
    return int(row.head)


def move(postgres: Cluster, fresh_url: str, folder: Path) -> None:
    """Dump, and restore into an empty database of another cluster; as the superuser, from
    whom row-level security hides nothing."""
    programs = Path(json.loads((postgres._folder / "server.json").read_text())["bin"])
    dump = folder / "dump"
    for arguments in (
        [programs / "pg_dump", "--format=custom", f"--file={dump}", postgres.url],
        [programs / "pg_restore", "--exit-on-error", f"--dbname={fresh_url}", dump],
    ):
        subprocess.run(arguments, check=True)


def judge(url: str, folder: Path, score: Score) -> None:
    """What was tailed is the log; what writers were told is true of it."""
    with admin(url) as connection:
        score.events = counting.judge(connection)
        rows = connection.execute("select event_id, log_position from events")
        there = {row.event_id: row.log_position for row in rows.fetchall()}
    for ledger in folder.glob("*.ledger"):
        *lines, _ = ledger.read_text().split("\n")  # the last was perhaps cut off
        for sign, event_id, *position in map(str.split, lines):
            if sign == "+":
                assert there.get(event_id) == int(position[0]), f"lost: {event_id}"
            else:
                assert event_id not in there, f"refused, but in the log: {event_id}"
                score.refused += 1


async def run(
    postgres: Cluster,
    fresh_url: str,
    folder: Path,
    *,
    events: int,
    processes: int = 4,
    rounds: int = 4,
    tell: Tell = lambda seen: None,
) -> Score:
    """The whole of it; what was done. `fresh_url`: an empty database of another cluster."""
    prepare(postgres.url)
    made = Run(postgres, folder, processes=processes, tell=tell)
    try:
        await made.live(events, rounds)
        await asyncio.to_thread(move, postgres, fresh_url, folder)
        await made.restored(fresh_url, events // 20)
    finally:
        made.kill()
    judge(fresh_url, folder, made.score)
    return made.score


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4, help="of stops and kills")
    given = parser.parse_args()
    with (
        logs.writing(LogSettings(log_level="error")),
        cluster() as postgres,
        cluster() as other,
        tempfile.TemporaryDirectory() as folder,
        Progress() as progress,
    ):
        with admin(other.url) as connection:
            connection.execute("create database fresh")
        task = progress.add_task("events seen", total=given.events)
        score = asyncio.run(
            run(
                postgres,
                make_conninfo(other.url, dbname="fresh"),
                Path(folder),
                events=given.events,
                processes=given.processes,
                rounds=given.rounds,
                tell=lambda seen: progress.update(task, completed=seen),
            )
        )
    print(score)


if __name__ == "__main__":
    main()
