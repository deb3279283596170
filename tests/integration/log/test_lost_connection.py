"""The connection is lost in a call, and nobody knows what became of it: the appender asks.

Each test loses it at another moment. Always the caller hears the truth, the event is in the
log exactly once, and what belongs to its transaction is there exactly once with it.
"""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from domain.errors import OutcomeUnknown, Unavailable
from domain.log.entry import Appended, Entry, Statement
from projections.log import appender as appender_module
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.integration.log.conftest import HoldLog
from tests.support.builders import an_entry
from tests.support.network import Network
from tests.support.waiting import holding_the_log, soon, waiting_for_the_log

Admin = psycopg.Connection[Any]

RIDER = "insert into notes (note) values (%(note)s)"
POSTING = (
    "insert into notes select 'at', position from events"
    " where tenant_id = %(tenant_id)s and event_id = %(event_id)s"
)


@pytest.fixture
def network(database_url: str) -> Iterator[Network]:
    """The appender's way to the database."""
    with Network(database_url) as way:
        yield way


@pytest.fixture
def appender(network: Network, tenant_id: UUID) -> Iterator[Appender]:
    """An appender that is connected already."""
    running = Appender(network.url, "daybook_app")
    running.start()
    running.submit(Request([an_entry(tenant_id, event_id="the-first")]))
    yield running
    running.close()


@pytest.fixture(autouse=True)
def notes(admin: Admin) -> None:
    """A table that riders and postings of these tests write to."""
    admin.execute("create table daybook.notes (note text primary key, position bigint)")
    admin.execute("grant select, insert on daybook.notes to daybook_app")


def plain(entry: Entry) -> Request:
    return Request([entry])


def command(entry: Entry) -> Request:
    keys = {"tenant_id": entry.tenant_id, "event_id": entry.event_id}
    return Request(
        [entry],
        before=[Statement(RIDER, {"note": "rider"})],
        after=[Statement(POSTING, keys)],
    )


def stored(admin: Admin) -> list[str]:
    rows = admin.execute("select event_id from events order by log_position")
    return [row.event_id for row in rows.fetchall() if row.event_id != "the-first"]


def noted(admin: Admin) -> list[tuple[str, int | None]]:
    rows = admin.execute("select note, position from daybook.notes order by note")
    return [tuple(row) for row in rows.fetchall()]


def assert_exactly_once(
    admin: Admin, request: Request, receipts: list[Appended]
) -> None:
    assert stored(admin) == [entry.event_id for entry in request.entries]
    assert [receipt.position for receipt in receipts] == [2]
    assert not receipts[0].replayed
    if request.is_command:
        assert noted(admin) == [("at", 2), ("rider", None)]


def kill(admin: Admin, backends: list[int]) -> None:
    for backend in backends:
        admin.execute("select pg_terminate_backend(%s, 5000)", [backend])


@pytest.fixture(params=[plain, command], ids=["append", "command"])
def request_of(request: pytest.FixtureRequest) -> Any:
    """Makes an append, or a command."""
    return request.param


async def test_the_server_ends_the_call_before_it_is_committed(
    appender: Appender,
    admin: Admin,
    hold_log: HoldLog,
    request_of: Any,
    tenant_id: UUID,
) -> None:
    request = request_of(an_entry(tenant_id))
    # given: a call that waits for the log
    with hold_log():
        caller = asyncio.create_task(appender.append(request))
        backends = await soon(lambda: waiting_for_the_log(admin))
        # when: its backend is killed, and the appender asks what became of it
        kill(admin, backends)
        await soon(lambda: waiting_for_the_log(admin))
    # then
    assert_exactly_once(admin, request, await caller)


async def test_the_answer_is_lost_after_the_commit(
    appender: Appender, admin: Admin, network: Network, request_of: Any, tenant_id: UUID
) -> None:
    request = request_of(an_entry(tenant_id))
    # given
    network.lose_answers()
    caller = asyncio.create_task(appender.append(request))
    await soon(lambda: stored(admin))
    # when
    network.cut()
    # then
    assert_exactly_once(admin, request, await caller)


async def test_the_lost_call_commits_after_the_connection_is_gone(
    appender: Appender,
    admin: Admin,
    hold_log: HoldLog,
    network: Network,
    request_of: Any,
    tenant_id: UUID,
) -> None:
    request = request_of(an_entry(tenant_id))
    # given: a call that waits for the log; its server looks after its client every 2 s
    with hold_log():
        caller = asyncio.create_task(appender.append(request))
        await soon(lambda: waiting_for_the_log(admin))
        # when: the connection is lost, and a new one asks behind the old one
        network.cut()
        await soon(lambda: len(waiting_for_the_log(admin)) == 2)
    # then: the plain look-up's "absent" did not deceive anybody
    assert_exactly_once(admin, request, await caller)


async def test_a_group_that_was_lost_is_settled_request_by_request(
    appender: Appender, admin: Admin, hold_log: HoldLog, tenant_id: UUID
) -> None:
    # given: a group of plain, rival and repeated requests, waiting for the log
    chosen = an_entry(tenant_id, event_id="chosen-id-1", fingerprint=b"f")
    group = [
        plain(an_entry(tenant_id)),
        plain(an_entry(tenant_id, stream="door", expected_version=0)),
        plain(an_entry(tenant_id, stream="door", expected_version=0)),
        plain(chosen),
        plain(chosen),
    ]
    with hold_log():
        call = asyncio.create_task(asyncio.to_thread(appender._append_group, group))
        backends = await soon(lambda: waiting_for_the_log(admin))
        # when
        kill(admin, backends)
        await soon(lambda: waiting_for_the_log(admin))
    outcomes = await call
    # then
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["list", "list", "VersionConflict", "list", "list"]
    assert stored(admin) == [group[n].entries[0].event_id for n in (0, 1, 3)]


async def test_a_command_that_came_in_after_all_is_a_success(
    appender: Appender, admin: Admin, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: when asked first, the log does not have the lost command yet
    request = command(an_entry(tenant_id))
    receipts = await appender.append(request)
    found = Appender._found
    answers = iter([[None]])
    monkeypatch.setattr(
        Appender,
        "_found",
        lambda self, group: next(answers, None) or found(self, group),
    )
    # when: it is settled; sent again, its rider is there already
    [outcome] = await asyncio.to_thread(appender._settle, [request])
    # then
    assert outcome == receipts
    assert_exactly_once(admin, request, receipts)


async def test_a_command_commits_though_its_process_hears_nothing_more(
    appender: Appender, admin: Admin, network: Network, tenant_id: UUID
) -> None:
    """The log's lock lives as long as the server works, not as long as a client does."""
    # given: a process that hears nothing from the server, as if it had stopped
    network.lose_answers()
    request = command(an_entry(tenant_id))
    caller = asyncio.create_task(appender.append(request))
    # then: the server finishes by itself, and the log is free for others
    await soon(lambda: stored(admin))
    await soon(lambda: not holding_the_log(admin))
    network.cut()
    await caller


def test_an_idle_connection_that_was_lost_is_not_noticed_by_callers(
    appender: Appender, network: Network, admin: Admin, tenant_id: UUID
) -> None:
    network.cut()
    appender.submit(plain(an_entry(tenant_id)))
    appender.submit(command(an_entry(tenant_id)))
    assert len(stored(admin)) == 2


def test_the_database_is_away_then_comes_back(
    appender: Appender,
    network: Network,
    admin: Admin,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given
    monkeypatch.setattr(appender_module, "QUEUE_SECONDS", 0.2)
    monkeypatch.setattr(appender_module, "SETTLE_SECONDS", 0.2)
    network.shut()
    # then: first its loss shows only in the call
    with pytest.raises(OutcomeUnknown):
        appender.submit(plain(an_entry(tenant_id)))
    # from then on nothing is sent
    with pytest.raises(Unavailable) as caught:
        appender.submit(plain(an_entry(tenant_id)))
    assert caught.value.code == "unavailable"
    # when
    network.reopen()
    # then
    appender.submit(plain(an_entry(tenant_id)))
    assert len(stored(admin)) == 1


def test_the_database_is_back_in_time(
    appender: Appender, network: Network, admin: Admin, tenant_id: UUID
) -> None:
    # given: callers come while it is away
    network.shut()
    requests = [plain(an_entry(tenant_id)) for _ in range(20)]
    callers = [
        threading.Thread(target=appender.submit, args=[each]) for each in requests
    ]
    for caller in callers:
        caller.start()
    # when
    network.reopen()
    # then
    for caller in callers:
        caller.join(timeout=10)
    assert sorted(stored(admin)) == sorted(r.entries[0].event_id for r in requests)


def test_a_server_that_is_not_there(
    tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender_module, "QUEUE_SECONDS", 0.2)
    nowhere = Appender("postgresql://postgres@127.0.0.1:1/none", "daybook_app")
    nowhere.start()
    with pytest.raises(Unavailable):
        nowhere.submit(plain(an_entry(tenant_id)))
    nowhere.close()


async def test_what_cannot_be_settled_in_time_is_unknown_for_all_at_once(
    appender: Appender,
    network: Network,
    admin: Admin,
    hold_log: HoldLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given: a call for twenty; asked about them, the log has none, then it is away again
    monkeypatch.setattr(appender_module, "SETTLE_SECONDS", 0.5)
    monkeypatch.setattr(Appender, "_found", lambda self, group: [None] * len(group))
    group = [plain(an_entry(ids.new(), fingerprint=b"f")) for _ in range(20)]
    with hold_log():
        call = asyncio.create_task(asyncio.to_thread(appender._append_group, group))
        await soon(lambda: waiting_for_the_log(admin))
        # when
        network.shut()
        # then: one time limit holds for all of them, not one for each
        async with asyncio.timeout(5):
            outcomes = await call
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 20
