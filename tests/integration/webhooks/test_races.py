"""Two that come at once: whoever is first, no lane is left as nobody has it."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import commands
from projections.postgres import Link
from projections.webhooks.lanes import OWNING, QUERIES, LaneKey
from tests.support.delivering import (
    ToldReceiver,
    finished,
    publish,
    rows,
    subscribe,
    working,
)
from tests.support.waiting import soon
from workers.webhooks.ending import Ender
from workers.webhooks.lane import Lane, Lanes

Hook = tuple[ToldReceiver, str]


async def test_who_looks_while_another_begins_anew_does_not_go_back(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The keeper reads its lanes; before it has the answer, the dispatcher begins anew."""
    receiver, url = hook
    await subscribe(log, tenant_id, url)
    taken = list[Lane]()
    add, ask = Lanes.add, Link.rows
    looked = asyncio.Event()

    def notice(lanes: Lanes, lane: Lane) -> None:
        taken.append(lane)
        add(lanes, lane)

    async def overtaken(link: Link, query: Any, *args: Any, **more: Any) -> list[Any]:
        answer = await ask(link, query, *args, **more)
        if query == OWNING["owned"] and not looked.is_set():
            looked.set()
            await rows(database_url, "update daybook.lanes set epoch = epoch + 1")
            taken[0].epoch += 1
        return answer

    monkeypatch.setattr(Lanes, "add", notice)
    monkeypatch.setattr(Link, "rows", overtaken)
    async with working(database_url):
        await soon(lambda: taken)
        await rows(database_url, CUT)
        await soon(looked.is_set)
        await publish(log, tenant_id, 3)
        await soon(finished(database_url, 3))

    assert len(receiver.arrivals) == 3


CUT = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'daybook lanes'
"""


async def test_what_is_asked_for_while_the_worker_is_stopped_is_still_sent(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url, retry={"delays": []})
    ask, begun, go_on = Link.rows, asyncio.Event(), asyncio.Event()

    async def slowly(link: Link, query: Any, *args: Any, **more: Any) -> list[Any]:
        answer = await ask(link, query, *args, **more)
        if query == QUERIES["first_attempts"] and answer:
            begun.set()
            await go_on.wait()
        return answer

    monkeypatch.setattr(Link, "rows", slowly)
    async with working(database_url):
        await publish(log, tenant_id)
        await begun.wait()
        asyncio.get_running_loop().call_later(0.1, go_on.set)

    assert len(receiver.arrivals) == 1
    assert await finished(database_url, 1)()


async def test_what_is_to_be_ended_at_the_last_moment_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = LaneKey(UUID(int=1), UUID(int=2), 0)
    lanes = Lanes()
    lane = Lane(key, 1, lanes.endpoint(key))
    ender, steps = Ender(Link("", "daybook_worker", "test"), lanes), list[Lane]()

    async def step(ender: Ender, lane: Lane) -> bool:
        if not steps:  # before anything that follows from our return
            asyncio.get_running_loop().call_soon(ender.end, [lane])
        steps.append(lane)
        return True

    monkeypatch.setattr(Ender, "_step", step)
    ender.end([lane])
    await soon(lambda: len(steps) == 2)


async def test_enabled_it_counts_from_nothing_whatever_was_noted_late(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    """A note of what failed before may be written just after the enabling's own."""
    receiver, url = hook
    limit = {"failures": 3, "over_seconds": 0}
    webhook_id = await subscribe(
        log, tenant_id, url, disable_after=limit, retry="durable", max_in_flight=1
    )
    receiver.answers.append(500)
    context = Context("test")
    async with working(database_url):
        await publish(log, tenant_id, 2)
        await soon(finished(database_url, 1))
        await asyncio.to_thread(
            commands.disable, log, context, tenant_id, webhook_id, "manual"
        )
        await rows(database_url, LATE)
        receiver.answers.append(500)
        await asyncio.to_thread(commands.enable, log, context, tenant_id, webhook_id)
        await publish(log, tenant_id, 2)
        await soon(finished(database_url, 2))

    assert not await rows(database_url, "select 1 from daybook.webhooks "
                                        "where state = 'disabled'")  # fmt: skip


# The enabling clears it; this has it come back, as a note would that waited for its lock.
LATE = """
    create function daybook.noted_late() returns trigger language plpgsql as $$
    begin
        if old.failures > 0 and new.failures = 0 then
            new.failures := 9;
            new.failing_since := clock_timestamp() - interval '1 h';
        end if;
        return new;
    end $$;
    create trigger noted_late before update on daybook.lanes
        for each row execute function daybook.noted_late();
    update daybook.lanes set failures = 1;
"""
