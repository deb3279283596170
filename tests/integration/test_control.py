"""What an operator does to projections: pause, decide on errors, rebuild."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from domain.application import Log
from domain.errors import Invalid, NotFound
from projections import control, postgres
from projections.control import Rebuild
from projections.log.appender import Appender
from projections.log.request_queue import Request
from projections.log.streams import Streams
from projections.postgres import Connection
from projections.rebuild import Rebuilder
from projections.runner import Runner
from tests.support import counting
from tests.support.builders import a_tenant, an_entry
from tests.support.counting import Counting

Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(database_url: str) -> Iterator[Admin]:
    """A connection that sees everything; `counting` has its table and its checkpoint."""
    with counting.admin(database_url) as connection:
        connection.execute(counting.TABLE)
        yield connection


@pytest.fixture
async def operator(database_url: str) -> AsyncIterator[Connection]:
    """The operator, as the API connects."""
    async with await postgres.connect(
        database_url, "daybook_operator", "test"
    ) as connection:
        yield connection


async def publish(appender: Appender, tenant_id: UUID, *events: str) -> None:
    """Events in this order, each as `stream type`."""
    split = [event.split() for event in events]
    entries = [an_entry(tenant_id, stream=stream, type=kind) for stream, kind in split]
    await appender.append(Request(entries))


async def run_to_the_end(url: str, projection: Counting | Streams) -> None:
    """As a worker runs it, until nothing moves any more."""
    runner = Runner(url, projection)
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(20):
        async with await postgres.connect(url, "daybook_operator", "look") as look:
            while True:
                for each, _ in await control.projections(look):
                    stands = each.state != "running" and projection.policy == "pause"
                    still = stands or not each.lag_events
                    if each.name == projection.name and still:
                        task.cancel()
                        await asyncio.gather(task, return_exceptions=True)
                        return
                await asyncio.sleep(0.02)


async def state_of(operator: Connection, name: str) -> str:
    [state] = [
        each.state
        for each, _ in await control.projections(operator)
        if each.name == name
    ]
    return state


async def errors(operator: Connection) -> list[tuple[int, str, bool]]:
    found = await control.errors(operator, "counting", None, limit=50, backwards=False)
    return [(each.log_position, each.state, each.retry) for each in found]


async def error_at(operator: Connection, position: int) -> int:
    found = await control.errors(operator, "counting", None, limit=50, backwards=False)
    [error_id] = [each.error_id for each in found if each.log_position == position]
    return error_id


def counted(admin: Admin) -> list[int]:
    rows = admin.execute("select log_position from counted order by log_position")
    return [row.log_position for row in rows.fetchall()]


# Pause and resume.


async def test_a_paused_projection_stands_until_it_is_resumed(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    await publish(appender, tenant_id, "s a")
    await control.pause(operator, "counting", "operator")
    await control.pause(operator, "counting", "somebody else")
    runner = Runner(database_url, Counting())
    assert not await runner.step()
    [(found, _)] = [
        each
        for each in await control.projections(operator)
        if each[0].name == "counting"
    ]
    assert (found.state, found.paused_by, found.lag_events) == ("paused", "operator", 1)
    await control.resume(operator, "counting")
    assert await state_of(operator, "counting") == "running"
    assert await runner.step()
    assert counted(admin) == [1]


async def test_pause_waits_for_the_batch_in_progress(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    await publish(appender, tenant_id, "s a", "s b")
    step = asyncio.create_task(Runner(database_url, Counting(delay=0.5)).step())
    await asyncio.sleep(0.2)
    await control.pause(operator, "counting", "operator")
    assert counted(admin) == [1, 2]
    assert await step


async def test_each_change_wakes_the_workers(
    database_url: str, admin: Admin, operator: Connection
) -> None:
    async with await postgres.connect(
        database_url, "daybook_worker", "listener"
    ) as listener:
        await listener.execute("listen daybook_log")
        await listener.execute("listen daybook_work")
        await control.pause(operator, "counting", "operator")
        await control.resume(operator, "counting")
        await control.start_rebuild(operator, "streams", "operator")
        await control.cancel_rebuild(operator, "streams")
        heard = [
            note.channel async for note in listener.notifies(timeout=2, stop_after=8)
        ]
    assert sorted(heard) == ["daybook_log"] * 4 + ["daybook_work"] * 4


async def test_nobody_knows_a_projection_of_this_name(operator: Connection) -> None:
    for what in (
        control.pause(operator, "nothing", "operator"),
        control.resume(operator, "nothing"),
        control.errors(operator, "nothing", None, limit=1, backwards=False),
        control.retry(operator, "nothing", 1),
        control.skip(operator, "nothing", 1, "operator"),
        control.rebuild(operator, "nothing"),
        control.rebuild(operator, "streams"),
        control.start_rebuild(operator, "nothing", "operator"),
        control.cancel_rebuild(operator, "streams"),
        control.accept_rebuild(operator, "streams"),
    ):
        with pytest.raises(NotFound):
            await what


# Errors.


async def test_a_parked_event_is_tried_again_with_what_waits_behind_it(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    # given
    await publish(appender, tenant_id, "a fine", "b bad", "a fine", "b fine", "c fine")
    await run_to_the_end(database_url, Counting(policy="park", bad=["bad"]))
    assert counted(admin) == [1, 3, 5]
    parked = [(2, "parked", False), (4, "parked", False)]
    assert await errors(operator) == parked
    # when: it is asked for, and is as bad as ever
    error_id = await error_at(operator, 2)
    assert (await control.retry(operator, "counting", error_id)).retry
    assert await errors(operator) == [(2, "parked", True), (4, "parked", False)]
    assert await Runner(database_url, Counting(policy="park", bad=["bad"])).step()
    # then
    assert await errors(operator) == parked
    # when: the code is mended
    await control.retry(operator, "counting", error_id)
    assert await Runner(database_url, Counting(policy="park")).step()
    # then
    assert await errors(operator) == []
    assert counted(admin) == [1, 2, 3, 4, 5]
    with pytest.raises(NotFound):
        await control.retry(operator, "counting", error_id)


async def test_a_skipped_event_lets_go_what_waited_behind_it(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    await publish(appender, tenant_id, "b bad", "b fine", "c bad", "b fine")
    projection = Counting(policy="park", bad=["bad"])
    await run_to_the_end(database_url, projection)
    error_id = await error_at(operator, 1)
    skipped = await control.skip(operator, "counting", error_id, "operator")
    assert (skipped.state, skipped.decided_by) == ("skipped", "operator")
    while await Runner(database_url, projection).step():
        pass
    assert counted(admin) == [2, 4]
    assert await errors(operator) == [(1, "skipped", False), (3, "parked", False)]
    with pytest.raises(Invalid):
        await control.retry(operator, "counting", error_id)
    again = await control.skip(operator, "counting", error_id, "somebody else")
    assert again.decided_by == "operator"


async def test_a_stopped_projection_goes_on_behind_what_is_skipped(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    await publish(appender, tenant_id, "a fine", "a bad", "a fine")
    projection = Counting(policy="pause", bad=["bad"])
    await run_to_the_end(database_url, projection)
    assert await state_of(operator, "counting") == "stopped"
    error_id = await error_at(operator, 2)
    retried = await control.retry(operator, "counting", error_id)
    assert (retried.state, retried.retry) == ("stopped", False)
    await control.skip(operator, "counting", error_id, "operator")
    while await Runner(database_url, projection).step():
        pass
    assert counted(admin) == [1, 3]
    assert await state_of(operator, "counting") == "running"


async def test_newer_code_is_asked_for_by_name(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    await publish(appender, tenant_id, "a newer")
    await run_to_the_end(database_url, Counting(newer=["newer"]))
    assert await state_of(operator, "counting") == "needs_newer_code"


# Rebuilds.


async def step(url: str) -> None:
    """A worker looks after the rebuilds once."""
    async with await postgres.connect(url, "daybook_worker", "rebuild") as connection:
        await Rebuilder(url, [Streams()]).step(connection)


async def test_a_rebuild_from_asking_to_the_switch(
    database_url: str, operator: Connection, appender: Appender, tenant_id: UUID
) -> None:
    await publish(appender, tenant_id, "a x", "b x", "a x")
    await run_to_the_end(database_url, Streams())
    begun = await control.start_rebuild(operator, "streams", "operator")
    assert (begun.state, begun.position, begun.target) == ("running", 0, 3)
    assert (begun.rate, begun.remaining_seconds) == (None, None)
    assert (await control.projections(operator))[1][1] == begun
    with pytest.raises(Invalid):
        await control.start_rebuild(operator, "streams", "operator")
    await step(database_url)
    ended = await control.rebuild(operator, "streams")
    assert (ended.state, ended.position, ended.target) == ("switched", 3, 3)
    assert ended.rate and ended.parity and ended.parity["equal"]
    assert ended.finished_at is not None
    assert (await control.projections(operator))[1][1] is None


async def test_a_rebuild_of_one_tenant(
    database_url: str,
    application: Log,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    known = await asyncio.to_thread(a_tenant, application)
    for each in (known, tenant_id):
        await publish(appender, each, "a x", "b x")
    await run_to_the_end(database_url, Streams())
    admin.execute("update stream_heads set version = 99")
    begun = await control.start_rebuild(operator, "streams", "op", tenant_id=known)
    assert begun.tenant_id == known
    await step(database_url)
    assert (await control.rebuild(operator, "streams")).state == "switched"
    wrong = admin.execute(
        "select distinct tenant_id from stream_heads where version = 99"
    )
    assert [row.tenant_id for row in wrong.fetchall()] == [tenant_id]


async def test_a_cancelled_rebuild_leaves_the_live_rows(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    # given: one that has written rows, and waits because they differ
    await publish(appender, tenant_id, "a x")
    await run_to_the_end(database_url, Streams())
    await control.start_rebuild(operator, "streams", "operator")
    admin.execute("update rebuilds set version = 2")
    admin.execute("update stream_heads set version = 99")
    newer = Streams()
    newer.version = 2
    async with await postgres.connect(database_url, "daybook_worker", "r") as worker:
        rebuilder = Rebuilder(database_url, [newer])
        await rebuilder.step(worker)
        waiting = await control.rebuild(operator, "streams")
        assert waiting.state == "ready" and waiting.is_unfinished
        # when
        cancelled = await control.cancel_rebuild(operator, "streams")
        assert cancelled.state == "cancelled" and not cancelled.is_unfinished
        await rebuilder.step(worker)
        await rebuilder.step(worker)
    # then
    rows = admin.execute("select generation, version from stream_heads").fetchall()
    assert [tuple(row) for row in rows] == [(1, 99)]
    with pytest.raises(NotFound):
        await control.cancel_rebuild(operator, "streams")


async def test_differences_are_accepted_before_or_after(
    database_url: str,
    admin: Admin,
    operator: Connection,
    appender: Appender,
    tenant_id: UUID,
) -> None:
    await publish(appender, tenant_id, "a x")
    await run_to_the_end(database_url, Streams())
    newer = Streams()
    newer.version = 2

    async def rebuilt(*, accept: bool) -> Rebuild:
        admin.execute("update checkpoints set version = 1")
        admin.execute("update stream_heads set version = 99")
        await control.start_rebuild(operator, "streams", "op", accept=accept)
        admin.execute("update rebuilds set version = 2 where state = 'running'")
        await rebuilder.step(worker)
        return await control.rebuild(operator, "streams")

    async with await postgres.connect(database_url, "daybook_worker", "r") as worker:
        rebuilder = Rebuilder(database_url, [newer])
        assert (await rebuilt(accept=True)).state == "switched"
        waiting = await rebuilt(accept=False)
        assert waiting.state == "ready"
        assert waiting.parity and not waiting.parity["equal"]
        assert (await control.accept_rebuild(operator, "streams")).accept
        await rebuilder.step(worker)
        assert (await control.rebuild(operator, "streams")).state == "switched"


async def test_rebuilds_that_cannot_be(operator: Connection, admin: Admin) -> None:
    with pytest.raises(Invalid, match="record of what was done"):
        await control.start_rebuild(operator, "deliveries", "operator")
    with pytest.raises(Invalid):
        await control.start_rebuild(operator, "streams", "op", tenant_id=ids.new())
    admin.execute("update checkpoints set version = 9 where name = 'streams'")
    with pytest.raises(Invalid, match="version 9"):
        await control.start_rebuild(operator, "streams", "operator")
