"""One writer process of the soak `gaps`: eight writers that do what writers do.

`python -m tests.support.gap_writer URL SEED LEDGER`, until its standard input ends. Groups
of 1 to 200 entries, wrong expected versions, ids that others use too, and transactions of
its own around the append that are slow to end, or end in a rollback. The ledger says what
was heard, a line each: `+ id log_position` is in the log, `- id` is not and never will be.
"""

import argparse
import asyncio
import random
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid5

import psycopg
from psycopg.rows import namedtuple_row

from domain import ids
from domain.errors import DomainError, OutcomeUnknown, Unavailable
from domain.log.entry import Appended, Entry
from projections import postgres
from projections.log import calls
from projections.log.appender import Appender
from projections.log.request_queue import Request
from projections.settings import read
from workers import logs
from workers.settings import LogSettings

WRITERS = 8
TENANTS = [uuid5(UUID(int=0), f"tenant {number}") for number in range(5)]
STREAMS = 40
SIZES = (1, 1, 1, 2, 5, 20, 60, 200)
SHARED_IDS = 2000  # ids that all processes draw from
SLOW, CONFLICT, SHARED = 0.03, 0.08, 0.08  # how often; the rest is plain
AWAY = (Unavailable, OutcomeUnknown)


class Ledger:
    """What was heard, for the judge; a killed process loses only what it had not heard."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def is_in(self, entries: Sequence[Entry], receipts: Sequence[Appended]) -> None:
        """They are in the log, there."""
        self._write(
            f"+ {entry.event_id} {receipt.log_position}\n"
            for entry, receipt in zip(entries, receipts, strict=True)
        )

    def is_not(self, entries: Sequence[Entry]) -> None:
        """They are not, and never will be."""
        self._write(f"- {entry.event_id}\n" for entry in entries)

    def _write(self, lines: Iterable[str]) -> None:
        text = "".join(lines)
        with self._lock:
            self._file.write(text)
            self._file.flush()


class Writer:
    """One of the eight: one thing after the other."""

    def __init__(self, url: str, appender: Appender, ledger: Ledger, seed: str) -> None:
        self._url = url
        self._appender = appender
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._pause = threading.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop."""
        while not stop.is_set():
            kind = self._chance.random()
            if kind < SLOW:
                await asyncio.to_thread(self._slowly)
            elif kind < SLOW + CONFLICT:
                await self._conflict()
            elif kind < SLOW + CONFLICT + SHARED:
                await self._share()
            else:
                await self._append(self._entries(self._chance.choice(SIZES)))

    async def _append(self, entries: list[Entry]) -> None:
        """Until the outcome is known; repeated with the same ids it is the same event."""
        while True:
            try:
                receipts = await self._appender.append(Request(entries))
            except AWAY:
                await asyncio.sleep(0.05)
            except DomainError:
                return
            else:
                self._ledger.is_in(entries, receipts)
                return

    async def _conflict(self) -> None:
        """A version that no stream has, on one of several entries: none of them goes in."""
        entries = self._entries(self._chance.choice(SIZES[:6]))
        entries.append(self._entry(expected_version=10**9))
        while True:
            try:
                await self._appender.append(Request(entries))
            except AWAY:
                await asyncio.sleep(0.05)
            except DomainError:
                self._ledger.is_not(entries)
                return
            else:
                raise AssertionError("a wrong version was accepted")

    async def _share(self) -> None:
        """An id that others use, with the same content or with another."""
        event_id = f"shared-{self._chance.randrange(SHARED_IDS)}"
        fingerprint = self._chance.choice((b"the same", b"the same", b"another"))
        entry = self._entry(
            tenant_id=TENANTS[0], event_id=event_id, fingerprint=fingerprint
        )
        await self._append([entry])

    def _slowly(self) -> None:
        """A transaction that holds the log while this client dawdles."""
        entries = self._entries(self._chance.choice(SIZES[:5]))
        keeps = self._chance.random() < 0.6
        settings = postgres.conninfo(self._url, "daybook_edge", "slow writer")
        receipts = []
        try:
            with (
                psycopg.connect(settings, row_factory=namedtuple_row) as connection,
                connection.transaction(force_rollback=not keeps),
            ):
                query = calls.QUERIES["append"]
                parameters = calls.arrays([Request(entries)])
                rows = connection.execute(query, parameters).fetchall()
                receipts = calls.receipts(entries, rows)
                self._pause.wait(self._chance.uniform(0.001, 0.03))
        except psycopg.Error:
            return  # who knows
        if keeps:
            self._ledger.is_in(entries, receipts)
        else:
            self._ledger.is_not(entries)

    def _entries(self, count: int) -> list[Entry]:
        tenant_id = self._chance.choice(TENANTS)
        return [self._entry(tenant_id=tenant_id) for _ in range(count)]

    def _entry(self, **fields: Any) -> Entry:
        given: dict[str, Any] = {
            "tenant_id": TENANTS[0],
            "event_id": ids.fresh("evt"),
            "stream": f"gap/{self._chance.randrange(STREAMS)}",
            "type": "soak.gap",
            "state": b'{"note":"' + b"x" * self._chance.randrange(200) + b'"}',
        }
        return Entry(**(given | fields))


async def run(url: str, seed: str, ledger: Ledger) -> None:
    """Eight writers on one appender, until standard input ends."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()
    appender = Appender(url, "daybook_app")
    appender.start()
    writers = (Writer(url, appender, ledger, f"{seed} {n}") for n in range(WRITERS))
    await asyncio.gather(*(writer.run(stop) for writer in writers))
    await asyncio.to_thread(appender.close)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("seed")
    parser.add_argument("ledger", type=Path)
    given = parser.parse_args()
    quiet = read(LogSettings, {"DAYBOOK_LOG_LEVEL": "error"})
    with logs.writing(quiet), given.ledger.open("a", encoding="utf-8") as file:
        asyncio.run(run(given.url, given.seed, Ledger(file)))


if __name__ == "__main__":
    main()
