"""The appender: one group for all who wait, and one fate for each request.

What a call's lost connection leaves behind is in test_lost_connection.py.
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from domain.errors import (
    CausationTooDeep,
    EventExists,
    LimitReached,
    Unavailable,
    VersionConflict,
)
from domain.log.entry import Appended, Entry, Statement
from projections.log import appender as appender_module
from projections.log import request_queue
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.integration.log.conftest import HoldLog
from tests.support.builders import an_entry
from tests.support.waiting import soon, waiting_for_the_log

Admin = psycopg.Connection[Any]


def one(tenant_id: UUID, **fields: Any) -> Request:
    return Request([an_entry(tenant_id, **fields)])


def stored(admin: Admin) -> list[str]:
    """The log's event ids, in order."""
    rows = admin.execute("select event_id from events order by log_position")
    return [row.event_id for row in rows.fetchall()]


def in_queue(appender: Appender) -> int:
    """How many requests wait behind those that are being appended."""
    return sum(len(line) for line in appender._queue._waiting.values())


async def outcomes(
    appender: Appender, requests: Sequence[Request]
) -> list[list[Appended] | BaseException]:
    """What each of these callers gets; all call at once."""
    calls = [appender.append(request) for request in requests]
    return await asyncio.gather(*calls, return_exceptions=True)


# A group.


async def test_an_event_is_in_the_log_when_its_caller_hears_so(
    appender: Appender, admin: Admin, tenant_id: UUID
) -> None:
    entry = an_entry(tenant_id, stream="site/1")
    [receipt] = await appender.append(Request([entry]))
    assert stored(admin) == [entry.event_id]
    assert receipt[:5] == (entry.event_id, 1, 1, "site/1", 1)
    assert not receipt.replayed


async def test_all_who_wait_go_in_one_call(
    appender: Appender, admin: Admin, hold_log: HoldLog
) -> None:
    # given: a call that waits, and two hundred callers behind it
    tenants = [ids.new() for _ in range(10)]
    with hold_log():
        first = asyncio.create_task(appender.append(one(tenants[0])))
        await soon(lambda: waiting_for_the_log(admin))
        rest = asyncio.create_task(
            outcomes(appender, [one(tenant) for tenant in tenants * 20])
        )
        await soon(lambda: in_queue(appender) == 200)
    # when the log is free
    await first
    receipts = await rest
    # then
    assert all(isinstance(receipt, list) for receipt in receipts)
    assert (appender.groups, appender.entries) == (2, 201)


async def test_callers_on_threads_and_loops_share_groups(
    appender: Appender, admin: Admin, hold_log: HoldLog, tenant_id: UUID
) -> None:
    with hold_log():
        first = asyncio.create_task(appender.append(one(tenant_id)))
        await soon(lambda: waiting_for_the_log(admin))
        loop = asyncio.create_task(appender.append(one(tenant_id)))
        thread = asyncio.create_task(asyncio.to_thread(appender.submit, one(tenant_id)))
        await soon(lambda: in_queue(appender) == 2)
    await asyncio.gather(first, loop, thread)
    assert appender.groups == 2


async def test_a_request_of_many_entries_keeps_their_order(
    appender: Appender, admin: Admin, tenant_id: UUID
) -> None:
    entries = [an_entry(tenant_id) for _ in range(20)]
    receipts = await appender.append(Request(entries))
    assert stored(admin) == [entry.event_id for entry in entries]
    assert [receipt.position for receipt in receipts] == list(range(1, 21))


# One request's fate is not its neighbours'.


async def in_one_group(
    appender: Appender,
    admin: Admin,
    hold_log: HoldLog,
    requests: Sequence[Request],
) -> list[list[Appended] | BaseException]:
    """The outcomes of requests that travel together."""
    with hold_log():
        first = asyncio.create_task(appender.append(one(ids.new())))
        await soon(lambda: waiting_for_the_log(admin))
        rest = asyncio.create_task(outcomes(appender, requests))
        await soon(lambda: in_queue(appender) == len(requests))
    await first
    return await rest


async def test_a_conflict_fails_only_its_own_caller(
    appender: Appender, admin: Admin, hold_log: HoldLog, tenant_id: UUID
) -> None:
    # given: ten who each want to be first in the stream
    rivals = [one(tenant_id, stream="door", expected_version=0) for _ in range(10)]
    others = [one(tenant_id, stream=f"door/{number}") for number in range(10)]
    # when
    found = await in_one_group(appender, admin, hold_log, [*rivals, *others])
    # then: one is; the rest learn what is there; nobody else is harmed
    assert isinstance(found[0], list)
    for outcome in found[1:10]:
        assert isinstance(outcome, VersionConflict)
        assert (outcome.expected, outcome.actual) == (0, 1)
    assert all(isinstance(outcome, list) for outcome in found[10:])
    assert len(stored(admin)) == 12


async def test_a_repeat_is_answered_as_the_first_time(
    appender: Appender, tenant_id: UUID
) -> None:
    request = one(tenant_id, fingerprint=b"same")
    [first] = await appender.append(request)
    [again] = await appender.append(Request(request.entries))
    assert again == first._replace(replayed=True)


async def test_another_event_under_a_taken_id_is_refused(
    appender: Appender, tenant_id: UUID
) -> None:
    await appender.append(one(tenant_id, event_id="inspection-1", fingerprint=b"a"))
    with pytest.raises(EventExists) as caught:
        await appender.append(one(tenant_id, event_id="inspection-1", fingerprint=b"b"))
    assert caught.value.position == 1


async def test_a_long_chain_of_causes_is_refused(
    appender: Appender, tenant_id: UUID
) -> None:
    cause = None
    for _ in range(11):
        entry = an_entry(tenant_id, causation_id=cause)
        await appender.append(Request([entry]))
        cause = entry.event_id
    with pytest.raises(CausationTooDeep):
        await appender.append(one(tenant_id, causation_id=cause))


BAD = {
    "a NUL": ({"stream": "a\0b"}, psycopg.DataError),
    "a lone surrogate": ({"stream": "a\ud800b"}, UnicodeError),
    "too long for an index": (
        {"stream": "".join(map(chr, range(0x4E00, 0x9000)))},
        psycopg.errors.ProgramLimitExceeded,
    ),
    "no type": ({"type": None}, psycopg.IntegrityError),
}


@pytest.mark.parametrize(("fields", "error"), BAD.values(), ids=BAD.keys())
async def test_what_the_database_cannot_take_fails_only_its_own_caller(
    appender: Appender,
    admin: Admin,
    hold_log: HoldLog,
    tenant_id: UUID,
    fields: dict[str, Any],
    error: type[Exception],
) -> None:
    # given
    good = [one(tenant_id) for _ in range(20)]
    bad = one(tenant_id, **fields)
    # when
    found = await in_one_group(appender, admin, hold_log, [*good[:7], bad, *good[7:]])
    # then
    assert isinstance(found.pop(7), error)
    assert all(isinstance(outcome, list) for outcome in found)
    assert stored(admin)[1:] == [request.entries[0].event_id for request in good]


async def test_a_cancelled_callers_event_is_in_the_log(
    appender: Appender, admin: Admin, hold_log: HoldLog, tenant_id: UUID
) -> None:
    # given
    request = one(tenant_id)
    with hold_log():
        caller = asyncio.create_task(appender.append(request))
        await soon(lambda: waiting_for_the_log(admin))
        # when
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    # then: it goes in all the same, and the appender goes on
    await appender.append(one(tenant_id))
    assert stored(admin)[0] == request.entries[0].event_id


async def test_waiting_on_an_event_loop_without_await_is_refused(
    appender: Appender, admin: Admin, tenant_id: UUID
) -> None:
    with pytest.raises(RuntimeError, match="await append"):
        appender.submit(one(tenant_id))
    assert stored(admin) == []


async def test_a_callers_event_loop_may_end_before_its_answer(
    appender: Appender, admin: Admin, hold_log: HoldLog, tenant_id: UUID
) -> None:
    # given: a caller whose loop is gone by the time the log answers
    async def call_and_leave() -> None:
        caller = asyncio.ensure_future(appender.append(one(tenant_id)))
        await soon(lambda: waiting_for_the_log(admin))
        caller.cancel()

    with hold_log():
        await asyncio.to_thread(asyncio.run, call_and_leave())
    # then
    await appender.append(one(tenant_id))
    assert len(stored(admin)) == 2


# What waits is bounded.


async def test_too_much_waiting_is_refused(
    appender: Appender,
    admin: Admin,
    hold_log: HoldLog,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_queue, "QUEUE_BYTES", 2000)
    callers = [one(tenant_id, state=b"x" * 744) for _ in range(20)]
    with hold_log():
        first = asyncio.create_task(appender.append(one(tenant_id)))
        await soon(lambda: waiting_for_the_log(admin))
        rest = asyncio.create_task(outcomes(appender, callers))
        await soon(lambda: in_queue(appender) == 2)
    await first
    found = await rest
    refused = [each for each in found if isinstance(each, Unavailable)]
    assert len(refused) == 18
    assert len(stored(admin)) == 3


async def test_a_log_that_stays_locked_answers_unavailable_and_stores_nothing(
    database_url: str,
    admin: Admin,
    hold_log: HoldLog,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given: an appender that waits 0.2 s for an answer instead of 10 s
    conninfo = appender_module.postgres.conninfo
    monkeypatch.setattr(
        appender_module.postgres,
        "conninfo",
        lambda *words, **settings: conninfo(
            *words, **settings | {"statement_timeout": "200ms"}
        ),
    )
    impatient = Appender(database_url, "daybook_app")
    impatient.start()
    # when
    with hold_log(), pytest.raises(Unavailable) as caught:
        await impatient.append(one(tenant_id))
    # then
    assert caught.value.code == "unavailable"
    assert stored(admin) == []
    await impatient.append(one(tenant_id))
    impatient.close()


def test_closing_appends_what_waits(
    database_url: str, admin: Admin, tenant_id: UUID
) -> None:
    # given
    closing = Appender(database_url, "daybook_app")
    requests = [one(tenant_id) for _ in range(50)]
    callers = [
        threading.Thread(target=closing.submit, args=[request]) for request in requests
    ]
    for caller in callers:
        caller.start()
    # when
    closing.start()
    closing.close()
    # then
    for caller in callers:
        caller.join(timeout=5)
    assert len(stored(admin)) == 50
    with pytest.raises(Unavailable):
        closing.submit(one(tenant_id))


# A command: its riders, the append and its postings, all or nothing.


@pytest.fixture
def notes(admin: Admin) -> None:
    """A table that riders and postings of these tests write to."""
    admin.execute("create table daybook.notes (note text primary key, position bigint)")
    admin.execute("grant select, insert on daybook.notes to daybook_app")


def note(text: str) -> Statement:
    return Statement("insert into notes (note) values (%(note)s)", {"note": text})


def posting(entry: Entry) -> Statement:
    """What needs the event's position."""
    return Statement(
        "insert into notes select event_id, position from events"
        " where tenant_id = %(tenant_id)s and event_id = %(event_id)s",
        {"tenant_id": entry.tenant_id, "event_id": entry.event_id},
    )


def noted(admin: Admin) -> list[tuple[str, int | None]]:
    rows = admin.execute("select note, position from daybook.notes order by note")
    return [tuple(row) for row in rows.fetchall()]


async def test_a_command_writes_riders_events_and_postings(
    appender: Appender, admin: Admin, notes: None, tenant_id: UUID
) -> None:
    await appender.append(one(tenant_id))
    entry = an_entry(tenant_id, event_id="evt-of-command")
    # when
    [receipt] = await appender.append(
        Request([entry], before=[note("rider")], after=[posting(entry)])
    )
    # then
    assert receipt.position == 2
    assert noted(admin) == [("evt-of-command", 2), ("rider", None)]


FAILING = {
    "posting": Statement("select 1 / 0", {}),
    "limit": Statement(
        "select require(false, 'limit_reached', 'at most ' || %(most)s)", {"most": 3}
    ),
}


@pytest.mark.parametrize(
    ("failing", "error"),
    [("posting", psycopg.errors.DivisionByZero), ("limit", LimitReached)],
)
@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_command_that_fails_leaves_nothing(
    appender: Appender,
    admin: Admin,
    notes: None,
    tenant_id: UUID,
    failing: str,
    error: type[Exception],
    place: str,
) -> None:
    # given
    entry = an_entry(tenant_id)
    statements: dict[str, list[Statement]] = {
        "before": [note("rider")],
        "after": [posting(entry)],
    }
    statements[place].append(FAILING[failing])
    # when
    with pytest.raises(error) as caught:
        await appender.append(Request([entry], **statements))
    # then
    if failing == "limit":
        assert caught.value.detail == "at most 3"
    assert (stored(admin), noted(admin)) == ([], [])
    # and the next one works
    await appender.append(Request([an_entry(tenant_id)], before=[note("rider")]))
    assert noted(admin) == [("rider", None)]


async def test_a_commands_conflict_leaves_nothing(
    appender: Appender, admin: Admin, notes: None, tenant_id: UUID
) -> None:
    await appender.append(one(tenant_id, stream="door"))
    late = an_entry(tenant_id, stream="door", expected_version=0)
    with pytest.raises(VersionConflict) as caught:
        await appender.append(Request([late], before=[note("rider")]))
    assert caught.value.actual == 1
    assert (len(stored(admin)), noted(admin)) == (1, [])


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
async def test_a_command_with_text_that_cannot_be_stored_leaves_nothing(
    appender: Appender, admin: Admin, notes: None, tenant_id: UUID, bad: str
) -> None:
    with pytest.raises((psycopg.DataError, UnicodeError)):
        await appender.append(Request([an_entry(tenant_id)], before=[note(bad)]))
    assert (stored(admin), noted(admin)) == ([], [])
    await appender.append(Request([an_entry(tenant_id)], before=[note("fine")]))


@pytest.mark.parametrize(
    "text", ["it's", 'a "word"', "100%", "%s", "\\", "; drop table notes; --", "é\n"]
)
async def test_what_riders_say_is_kept_to_the_letter(
    appender: Appender, admin: Admin, notes: None, tenant_id: UUID, text: str
) -> None:
    entry = an_entry(tenant_id, stream="odd", state=text.encode(), source=text)
    await appender.append(Request([entry], before=[note(text)]))
    assert noted(admin) == [(text, None)]
    kept = admin.execute("select state, source from events").fetchone()
    assert kept == (text.encode(), text)


async def test_a_command_sees_its_own_tenant_only(
    appender: Appender, admin: Admin, notes: None, tenant_id: UUID
) -> None:
    await appender.append(one(ids.new()))
    count = Statement("insert into notes select 'seen', count(*) from events", {})
    await appender.append(Request([an_entry(tenant_id)], after=[count]))
    assert noted(admin) == [("seen", 1)]
