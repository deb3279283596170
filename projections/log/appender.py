"""The appender: everything that waits in this process goes into the log in one call.

One thread owns one connection. It takes what waits, calls `log_append` once for all of it,
and answers each caller. The log's lock lives as long as the server works on the call, never
as long as a client thinks: a stopped or killed process holds nothing (its call either
reached the server and ends there, or it did not).

When the connection is lost during a call, nobody knows whether the group was committed.
The appender then asks for the group's ids under the log's lock: what is found was stored;
what is not is appended again with the same ids, which the log would recognise. What is not
settled within 5 s is answered `outcome_unknown`, and repeating it is safe.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import psycopg
import structlog
from psycopg.rows import namedtuple_row

from domain.errors import OutcomeUnknown, Unavailable
from domain.log.entry import Statement
from projections import postgres, telemetry, tracing
from projections.failpoint import failpoint
from projections.log import calls, columns
from projections.log.request_queue import QUEUE_SECONDS, Answer, Request, RequestQueue
from projections.log.wakeup import Notifier
from projections.sql import Queries

QUERIES = Queries("projections.log")
SETTLE_SECONDS = 5.0
# After a group of several, their callers come again together: going on at once would split
# them in two halves for ever, each waiting while the other is appended. This pause brings
# 64 callers from 32 to 52 events a group and 6 % more a second; a caller alone never meets
# it.
GATHER_SECONDS = 0.0004
# The server or the connection is gone, or going: the outcome of a call is not known.
LOST = (psycopg.OperationalError, psycopg.InterfaceError)
# The group's content is at fault: one bad entry must not fail its neighbours.
BAD_CONTENT = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,  # too long for an index
    UnicodeError,
    ValueError,
)

log = structlog.get_logger("daybook.appender")


class Appender:
    """Group commit for one process; made, started and closed by its root."""

    def __init__(self, url: str, role: postgres.Role) -> None:
        """`role` is whose riders and postings come; it need not append itself."""
        self._role = role
        self._conninfo = postgres.conninfo(
            url, _appending(role), "appender", statement_timeout="10s"
        )
        self._queue = RequestQueue()
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self._notifier = Notifier(url, role)
        self.groups = 0
        self.entries = 0

    def start(self) -> None:
        """Begin taking requests; connects when the first one comes."""
        self._notifier.start()
        self._thread.start()

    def close(self) -> None:
        """Append what waits, then stop."""
        self._queue.close()
        self._thread.join(timeout=SETTLE_SECONDS * 2)
        self._notifier.close()

    def submit(self, request: Request) -> Answer:
        """Append and wait; for threads without an event loop. Raises DomainError."""
        if _on_event_loop():
            raise RuntimeError(
                "submit() blocks: await append() on an event loop instead"
            )
        future: Future[Answer] = Future()
        request.future = future
        self._queue.put(request)
        return future.result()

    async def append(self, request: Request) -> Answer:
        """Append and wait. A cancelled caller does not cancel the append."""
        request.future = asyncio.get_running_loop().create_future()
        self._queue.put(request)
        return await request.future

    # What follows runs on the appender's own thread.

    def _run(self) -> None:
        while group := self._queue.take():
            try:
                outcomes = self._append_group(group) if self._reach(group) else None
            except Exception:
                # Whatever it is, callers must not wait for ever and the thread must live.
                log.exception("append_failed", requests=len(group))
                self._disconnect()
                outcomes = _turned_away(group, "unknown")
            _answer(group, outcomes or _turned_away(group, "unavailable"))
            seconds = time.monotonic() - _oldest(group)
            telemetry.group_answered(seconds)
            tracing.past("group", seconds, requests=len(group))
            if len(group) > 1:
                time.sleep(GATHER_SECONDS)
        self._disconnect()

    def _reach(self, group: list[Request]) -> bool:
        """Have a connection before anything is sent; give up when the group is too old."""
        until = _oldest(group) + QUEUE_SECONDS
        while True:
            try:
                self._connected()
            except psycopg.OperationalError as error:
                if time.monotonic() >= until:
                    log.warning("log_unreachable", error=str(error))
                    return False
                time.sleep(0.05)
            else:
                return True

    def _append_group(self, group: list[Request]) -> list[Answer | Exception]:
        try:
            return self._attempt(group)
        except LOST as error:
            log.warning("log_connection_lost", error=type(error).__name__)
            return self._settle(group)

    def _attempt(self, group: list[Request]) -> list[Answer | Exception]:
        """One try; raises LOST when the connection was lost and the outcome with it."""
        try:
            if group[0].is_command:
                return [self._command(group[0])]
            return self._call(group)
        except BAD_CONTENT as error:
            return self._halves(group, error)
        except LOST as error:
            if self._is_broken():
                raise
            # The server refused: a timeout, no resources left. Nothing was stored.
            log.warning("append_refused", error=type(error).__name__)
            return _turned_away(group, "unavailable")
        except psycopg.Error as error:
            if error.sqlstate == calls.OURS:  # it concerns one request
                return self._halves(group, error)
            return [error for _ in group]

    def _halves(
        self, group: list[Request], error: Exception
    ) -> list[Answer | Exception]:
        if len(group) == 1:
            return [calls.refusal(error)]
        half = len(group) // 2
        return self._attempt(group[:half]) + self._attempt(group[half:])

    def _call(self, group: list[Request]) -> list[Answer | Exception]:
        entries = [entry for request in group for entry in request.entries]
        failpoint("append.call")
        begun = time.monotonic()
        rows = self._connected().execute(
            *calls.append(group), prepare=True, binary=True
        )
        answers = rows.fetchall()
        failpoint("append.called")
        self.groups += 1
        self.entries += len(entries)
        appended = sum(answer.answer == "appended" for answer in answers)
        telemetry.group_appended(len(entries), appended, time.monotonic() - begun)
        self._notifier.notify()
        outcomes: list[Answer | Exception] = []
        start = 0
        for request in group:
            end = start + len(request.entries)
            outcomes.append(calls.outcome(request.entries, answers[start:end]))
            start = end
        return outcomes

    def _command(self, request: Request) -> Answer:
        """A command's transaction: riders, the append, what needs its position.

        Sent as one message of many statements, which the server reads whole before it
        begins and runs as one transaction. So between taking the log's lock and the commit
        it waits for nothing but itself, even if this process hangs or dies meanwhile; a
        message that is half sent does nothing. (A pipeline is read as it comes, and
        psycopg's waits for all answers before it sends the COMMIT.)
        """
        tenant = {"tenant_id": str(request.tenant_id)}
        own = _entering("daybook_operator" if request.operator else self._role)
        first = [Statement(QUERIES["enter_tenant"], tenant), own, *request.before]
        first.append(_entering(_appending(self._role)))
        append: tuple[Any, Any] = (QUERIES["append_or_abort"], calls.arrays([request]))
        after = [own, *request.after]
        if request.claim is not None:
            after.insert(0, calls.keep_command(request.claim, request.entries))
        connection = self._connected()
        quoted = psycopg.ClientCursor(connection)
        # Named statements in full, their parameters quoted; nothing else is put in.
        message = "\n;\n".join(
            quoted.mogrify(query, parameters)
            for query, parameters in (*first, append, *after)
        )
        failpoint("command.call")
        begun = time.monotonic()
        appended = connection.execute(message)
        failpoint("command.called")
        for _ in first:
            appended.nextset()
        self._notifier.notify()
        rows = appended.fetchall()
        telemetry.group_appended(len(rows), len(rows), time.monotonic() - begun)
        return calls.receipts(request.entries, rows)

    def _settle(self, group: list[Request]) -> list[Answer | Exception]:
        """Find out, after a lost connection, and finish what was not done."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            self._disconnect()
            try:
                return self._finish(group)
            except LOST:
                time.sleep(0.05)
        return _turned_away(group, "unknown")

    def _finish(self, group: list[Request]) -> list[Answer | Exception]:
        found = self._found(group)
        rest = [
            request
            for request, answer in zip(group, found, strict=True)
            if answer is None
        ]
        outcomes = self._attempt(rest) if rest else []
        if group[0].is_command and outcomes and isinstance(outcomes[0], Exception):
            # Perhaps the lost one got into the log after all, just ahead of this one.
            return [self._found(group)[0] or outcomes[0]]
        remaining = iter(outcomes)
        return [answer or next(remaining) for answer in found]

    def _found(self, group: list[Request]) -> list[Answer | None]:
        """What the log says of each request's ids; None when it does not have them all."""
        entries = [entry for request in group for entry in request.entries]
        rows = self._connected().execute(
            QUERIES["find"],
            ([entry.tenant_id for entry in entries], [e.event_id for e in entries]),
        )
        found = {row.k: row for row in rows.fetchall()}
        answers: list[Answer | None] = []
        start = 1
        for request in group:
            numbers = range(start, start + len(request.entries))
            start += len(request.entries)
            # Ids that callers chose may be older events': there the log itself compares.
            ours = all(entry.fingerprint is None for entry in request.entries)
            if ours and all(number in found for number in numbers):
                ours_found = [found[number] for number in numbers]
                answers.append(calls.receipts(request.entries, ours_found))
            else:
                answers.append(None)
        return answers

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._is_broken():
            self._connection = psycopg.connect(
                self._conninfo, autocommit=True, row_factory=namedtuple_row
            )
            columns.register(self._connection)
        return self._connection

    def _is_broken(self) -> bool:
        connection = self._connection
        return connection is None or connection.closed or connection.broken

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _oldest(group: Sequence[Request]) -> float:
    """When the request came that has waited longest, by the monotonic clock."""
    return min(request.since for request in group)


def _turned_away(group: Sequence[Request], why: str) -> list[Answer | Exception]:
    telemetry.append_refused(why, len(group))
    kind = OutcomeUnknown if why == "unknown" else Unavailable
    return [kind() for _ in group]


def _appending(role: postgres.Role) -> postgres.Role:
    """A group is of several tenants: no role that is one tenant's may append it."""
    return "daybook_edge" if role == "daybook_app" else role


def _entering(role: postgres.Role) -> Statement:
    return Statement(QUERIES["enter_role"], {"role": role})


def _answer(group: Sequence[Request], outcomes: Sequence[Answer | Exception]) -> None:
    """Hand the outcomes to the callers, one wake-up for each event loop among them."""
    by_loop: defaultdict[Any, list[tuple[Request, Answer | Exception]]] = defaultdict(
        list
    )
    for request, outcome in zip(group, outcomes, strict=True):
        future = request.future
        loop = future.get_loop() if isinstance(future, asyncio.Future) else None
        by_loop[loop].append((request, outcome))
    for loop, pairs in by_loop.items():
        if loop is None:
            _resolve(pairs)
        else:
            try:
                loop.call_soon_threadsafe(_resolve, pairs)
            except RuntimeError:
                pass  # the loop has ended, and its callers with it


def _resolve(pairs: Sequence[tuple[Request, Answer | Exception]]) -> None:
    for request, outcome in pairs:
        future = request.future
        # Its caller went away; the events are in the log all the same.
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
