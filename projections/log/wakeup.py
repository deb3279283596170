"""Wake-ups: hints that the log has grown. Losing one costs latency, never an event.

NOTIFY takes a lock of the whole server while it commits, so it is never part of an append:
a thread with a connection of its own sends it, at once when the last was over 2 ms ago.
Whoever tails also polls, always.
"""

import asyncio
import threading
from collections.abc import Callable

import psycopg
import structlog

from projections import postgres
from projections.sql import Queries

QUERIES = Queries("projections.log")
# Waiting 10 ms to send several as one would add 7 ms to the 95th percentile of a delivery.
GAP_SECONDS = 0.002

log = structlog.get_logger("daybook.wakeup")


class Notifier:
    """Sends NOTIFY after appends, from a thread of its own."""

    def __init__(self, url: str, role: postgres.Role) -> None:
        # A NOTIFY is a commit, too; what may be lost need not wait for the disk.
        self._conninfo = postgres.conninfo(
            url, role, "notifier", synchronous_commit="off"
        )
        self._due = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin; connects when the first hint is due."""
        self._thread.start()

    def notify(self) -> None:
        """Say that the log has grown; returns at once."""
        self._due.set()

    def close(self) -> None:
        """Stop; a hint not sent yet is lost, which pollers do not mind."""
        self._closed.set()
        self._due.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while self._due.wait() and not self._closed.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    self._send(connection)
            except psycopg.Error as error:
                log.debug("notify_failed", error=type(error).__name__)
                self._closed.wait(0.2)

    def _send(self, connection: psycopg.Connection) -> None:
        while self._due.wait() and not self._closed.is_set():
            self._due.clear()
            connection.execute(QUERIES["notify"])
            self._closed.wait(GAP_SECONDS)


async def listen(url: str, role: postgres.Role, hear: Callable[[str], None]) -> None:
    """Call `hear(channel)` for every hint, for ever; reconnects by itself.

    After each (re)connection it calls `hear` once for each channel: what came while nobody
    listened is unknown, so look.
    """
    while True:
        try:
            async with await postgres.connect(url, role, "listener") as connection:
                await connection.execute("listen daybook_log")
                await connection.execute("listen daybook_work")
                hear("daybook_log")
                hear("daybook_work")
                async for hint in connection.notifies():
                    hear(hint.channel)
        except psycopg.Error as error:
            log.debug("listen_failed", error=type(error).__name__)
        await asyncio.sleep(0.2)
