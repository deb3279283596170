"""Handlers: by wildcard, apart from each other, exactly once over a kill."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from projections import postgres
from projections.log import handlers
from projections.log.appender import Appender
from projections.log.handlers import Event, Handler
from projections.log.request_queue import Request
from projections.postgres import Connection
from projections.runner import Runner
from tests.support import counting, handling
from tests.support.builders import an_entry
from tests.support.documents import blocks
from tests.support.processes import product
from tests.support.source import ROOT
from tests.support.waiting import soon

Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(database_url: str) -> Iterator[Admin]:
    with counting.admin(database_url) as connection:
        connection.execute(handling.TABLE)
        yield connection


async def publish(appender: Appender, tenant_id: UUID, *events: str) -> None:
    """Events in this order, each as `stream type passed`."""
    entries = []
    for stream, kind, passed in (event.split() for event in events):
        state = b'{"passed":%s}' % passed.encode()
        entries.append(an_entry(tenant_id, stream=stream, type=kind, state=state))
    await appender.append(Request(entries))


def handled(admin: Admin, handler: str) -> list[int]:
    query = "select position from handled where handler = %s order by position"
    return [row.position for row in admin.execute(query, [handler]).fetchall()]


async def test_one_that_raises_holds_up_no_other(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(
        appender, tenant_id, "s/1 crane.inspected true", "s/1 crane.moved false",
        "s/2 site.opened true", "s/1 crane.inspected true", "s/2 crane.moved true",
    )  # fmt: skip
    running = [
        asyncio.create_task(Runner(database_url, each).run())
        for each in handling.HANDLERS
    ]
    await soon(lambda: handled(admin, "everything") == [1, 2, 3, 4, 5])
    await soon(lambda: handled(admin, "cranes") == [1, 2, 4, 5])
    # What it raised for is undone; that stream waits, all others go on.
    await soon(lambda: handled(admin, "picky") == [1, 5])
    parked = admin.execute(
        "select log_position, error from projection_errors where name = 'picky'"
        " order by log_position"
    ).fetchall()
    assert [row.log_position for row in parked] == [2, 4]
    assert parked[0].error == "ValueError: s/1 has not passed"
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_worker_killed_in_a_call_makes_it_again_and_all_count_once(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    tmp_path: Path,
) -> None:
    await publish(appender, tenant_id, *["s/1 crane.inspected true"] * 3)
    settings = {
        "DAYBOOK_CONTEXTS": "tests.support.handling:CONTEXT",
        "PYTHONPATH": str(ROOT),
    }
    with product(database_url, tmp_path, settings) as made:
        made.settings["KILLED_AT"] = "2"
        worker = made.work().running
        assert worker is not None
        await soon(lambda: worker.poll() is not None, 30)
        assert handled(admin, "cranes") == []
        made.settings["KILLED_AT"] = ""
        made.work()
        for each in handling.HANDLERS:
            await soon(lambda name=each.name: handled(admin, name) == [1, 2, 3], 30)


async def test_an_event_says_whose_it_is_and_who_says_so(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    found: list[Event] = []

    async def keep(connection: Connection, event: Event) -> None:
        found.append(event)

    other = ids.new()
    await publish(appender, tenant_id, "s/1 crane.inspected true")
    await publish(appender, other, "s/1 crane.inspected false")
    assert await Runner(database_url, Handler("cranes", ["crane.*"], keep)).step()
    assert [(each.tenant_id, each.position) for each in found] == [
        (tenant_id, 1),
        (other, 1),
    ]
    assert [each.data["passed"] for each in found] == [True, False]
    assert all(each.is_published for each in found)


async def test_a_call_that_hangs_or_would_end_the_worker_is_a_failed_one(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handlers, "LONGEST_SECONDS", 0.05)

    async def hang(connection: Connection, event: Event) -> None:
        await connection.execute("select pg_sleep(60)")

    async def cancel(connection: Connection, event: Event) -> None:
        raise asyncio.CancelledError

    async def leave(connection: Connection, event: Event) -> None:
        raise SystemExit(3)

    await publish(appender, tenant_id, "s/1 crane.inspected true")
    for handle, told in (
        (hang, r"longer than 0\.05 s"),
        (cancel, "CancelledError"),
        (leave, r"SystemExit\(3\)"),
    ):
        runner = Runner(database_url, Handler("cranes", ["crane.*"], handle))
        with pytest.raises((TimeoutError, RuntimeError), match=told):
            await runner.step()


async def test_calls_that_leave_the_connection_alone_are_not_cut_off_together(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        postgres._SETTINGS, "idle_in_transaction_session_timeout", "200ms"
    )
    monkeypatch.setattr(handlers, "BATCH_SECONDS", 0.1)
    found: list[int] = []

    async def wait(connection: Connection, event: Event) -> None:
        await asyncio.sleep(0.05)
        found.append(event.position)

    await publish(appender, tenant_id, *["s/1 crane.inspected true"] * 8)
    handler = Handler("cranes", ["crane.*"], wait)
    assert await Runner(database_url, handler).step()
    assert found == [1, 2, 3, 4, 5, 6, 7, 8]
    # Eight took 0.4 s: the next batch has as many as fit into its time.
    assert 1 <= handler.batch_size() <= 2


def test_a_pattern_that_is_none_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="stands alone between dots"):
        Handler("cranes", ["crane*"], handling.cranes)


async def test_one_may_begin_with_what_happens_from_now_on(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    page = ROOT / "docs" / "adding.md"
    [from_now_on] = [each.text for each in blocks("sql") if each.path == page]
    await publish(appender, tenant_id, "s/1 crane.inspected true")
    with admin.transaction():
        admin.execute(from_now_on.replace("greetings", "cranes").encode())
    await publish(appender, tenant_id, "s/1 crane.inspected true")
    cranes, *_ = handling.HANDLERS
    assert await Runner(database_url, cranes).step()
    assert handled(admin, "cranes") == [2]
