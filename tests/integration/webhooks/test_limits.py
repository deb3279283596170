"""How an endpoint is treated: its rate, its circuit, when it is given up or skipped."""

import asyncio
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import circuit, commands
from tests.support.delivering import (
    ToldReceiver,
    finished,
    hasten,
    publish,
    rows,
    subscribe,
    working,
)
from tests.support.waiting import soon

Hook = tuple[ToldReceiver, str]
LIVE = "select failures, failing_since, opened_at, skip_through from daybook.lanes"
ONCE = {"delays": [], "jitter": 0}


async def live(url: str) -> Any:
    [lane] = await rows(url, LIVE)
    return lane


async def test_no_second_sees_more_than_the_rate(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url, rate_per_second=20)
    async with working(database_url):
        await publish(log, tenant_id, 45)
        await soon(finished(database_url, 45))

    times = [row.started_at for row in await rows(database_url, STARTED)]
    gaps = [
        (late - early).total_seconds()
        for early, late in zip(times, times[20:], strict=False)
    ]
    assert min(gaps) > 1
    assert len(receiver.arrivals) == 45


STARTED = "select started_at from daybook.attempts order by started_at"


async def test_the_circuit_opens_and_a_probe_closes_it(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(circuit, "PROBE_SECONDS", 0.3)
    receiver, url = hook
    receiver.answers.extend([500] * circuit.OPENS_AFTER)
    await subscribe(log, tenant_id, url, retry=ONCE, max_in_flight=1)
    async with working(database_url):
        await publish(log, tenant_id, 30)
        await soon(lambda: len(receiver.arrivals) == circuit.OPENS_AFTER)

        async def is_open() -> bool:
            return bool((await live(database_url)).opened_at)

        await soon(is_open)
        await soon(finished(database_url, 30))

    lane = await live(database_url)
    assert (lane.failures, lane.opened_at) == (0, None)
    times = [row.started_at for row in await rows(database_url, STARTED)]
    gaps = [(late - early).total_seconds() for early, late in pairwise(times)]
    assert max(gaps) > 0.29


async def test_a_webhook_is_disabled_for_its_failures_and_counted_anew(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.answers.extend([500] * 3)
    settings = {"retry": "durable", "max_in_flight": 1}
    limit = {"failures": 3, "over_seconds": 0}
    webhook_id = await subscribe(log, tenant_id, url, disable_after=limit, **settings)
    async with working(database_url):
        await publish(log, tenant_id, 6)
        await soon(lambda: rows(database_url, DISABLED))
        assert len(receiver.arrivals) == 3
        assert (await live(database_url)).failures == 3
        receiver.answers.extend([500] * 2)
        await asyncio.to_thread(
            commands.enable, log, Context("test"), tenant_id, webhook_id
        )
        await soon(finished(database_url, 1))
        await hasten(database_url)
        await soon(finished(database_url, 6))

    assert not await rows(database_url, DISABLED)
    assert (await live(database_url)).failures == 0


DISABLED = "select 1 from daybook.webhooks where disabled_reason = 'failures'"


async def test_too_many_requests_are_answered_with_fewer(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.gate.clear()
    receiver.answers.extend([429] * 8)
    await subscribe(log, tenant_id, url, max_in_flight=8, retry={"delays": [1]})
    async with working(database_url):
        await publish(log, tenant_id, 30)
        await soon(lambda: receiver.in_flight == 8)
        receiver.gate.set()
        await soon(lambda: rows(database_url, "select 1 from daybook.attempts"))
        receiver.most_in_flight = 0
        receiver.gate.clear()
        await soon(lambda: receiver.in_flight == 4)
        receiver.gate.set()
        await soon(finished(database_url, 30))

    assert not await rows(
        database_url, "select 1 from daybook.lanes where opened_at is not null"
    )


async def test_enabled_with_skip_it_gets_only_what_comes_from_then_on(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    context = Context("test")
    await asyncio.to_thread(
        commands.disable, log, context, tenant_id, webhook_id, "manual"
    )
    await publish(log, tenant_id, 5)
    await asyncio.to_thread(
        commands.enable, log, context, tenant_id, webhook_id, "skip"
    )
    await publish(log, tenant_id, 2)
    async with working(database_url):  # which also hands off, late
        await soon(finished(database_url, 7))

        async def forgotten() -> bool:
            return (await live(database_url)).skip_through == 0

        await soon(forgotten)

    states = [row.state for row in await rows(database_url, STATES)]
    assert states == ["cancelled"] * 5 + ["succeeded"] * 2
    assert len(receiver.arrivals) == 2


STATES = "select state from daybook.results order by position"


async def test_a_delivery_that_is_too_old_is_cancelled_without_an_attempt(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    policy = {"delays": [1], "max_age_seconds": 1}
    await subscribe(log, tenant_id, url, retry=policy)
    await publish(log, tenant_id, 2)
    await soon(lambda: rows(database_url, AGED))
    async with working(database_url):
        await soon(finished(database_url, 2))

    assert [row.state for row in await rows(database_url, STATES)] == ["cancelled"] * 2
    assert not receiver.arrivals
    assert not await rows(database_url, "select 1 from daybook.attempts")


AGED = """
    select 1 from daybook.events
    having max(recorded_at) < clock_timestamp() - interval '1.2 s'
"""


async def test_a_delivery_that_loses_its_workers_does_not_come_back_for_ever(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.gate.clear()
    await subscribe(log, tenant_id, url, retry=ONCE)
    async with working(database_url) as lost:
        await publish(log, tenant_id)
        await soon(lambda: receiver.in_flight)
        lost.cancel()
    async with working(database_url):
        await soon(finished(database_url, 1))

    [result] = await rows(database_url, "select state, attempts from daybook.results")
    assert tuple(result) == ("dead", 1)
    assert len(receiver.arrivals) == 1


async def test_the_dead_are_told_of_once(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.answers.extend([500] * 3)
    await subscribe(log, tenant_id, url, retry=ONCE)
    everything = await subscribe(
        log, tenant_id, url, event_types=["daybook.delivery.dead"], name="watch"
    )
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(lambda: rows(database_url, TOLD_ALL))
        await soon(finished(database_url, 4))

    [watched] = await rows(database_url, WATCHED, everything)
    assert watched.state == "succeeded"


TOLD_ALL = """
    select 1 from daybook.events where type = 'daybook.delivery.dead'
    having sum((convert_from(state, 'UTF8')::jsonb ->> 'count')::int) = 3
"""
WATCHED = "select state from daybook.results where webhook_id = %s"


async def test_what_is_begun_ahead_waits_for_a_slot(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url, max_in_flight=50)
    await publish(log, tenant_id, 300)
    async with working(database_url, concurrency=4):
        await soon(lambda: len(receiver.arrivals) >= 100)
        receiver.gate.clear()
        await soon(lambda: receiver.in_flight == 4)
        receiver.gate.set()
        await soon(finished(database_url, 300))

    assert receiver.most_in_flight == 4
    assert set(receiver.ids().values()) == {1}


async def test_what_is_begun_ahead_is_not_sent_once_the_webhook_is_disabled(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url, max_in_flight=50)
    await publish(log, tenant_id, 300)
    key, context = (tenant_id, webhook_id), Context("test")
    async with working(database_url, concurrency=4):
        await soon(lambda: len(receiver.arrivals) >= 100)
        receiver.gate.clear()
        await soon(lambda: receiver.in_flight == 4)
        sent = len(receiver.arrivals)
        await asyncio.to_thread(commands.disable, log, context, *key, "manual")
        await heard(database_url, *key)
        receiver.gate.set()
        await soon(at_rest(database_url))
        assert len(receiver.arrivals) == sent
        await asyncio.to_thread(commands.enable, log, Context("test"), *key)
        await soon(finished(database_url, 300))

    assert set(receiver.ids().values()) == {1}
    assert {row.number for row in await rows(database_url, NUMBERS)} == {1}


NUMBERS = "select number from daybook.attempts"
POKES = "select 1 from daybook.pokes"
POKE = "insert into daybook.pokes (tenant_id, webhook_id) values (%s, %s) returning 1"
SENDING = """
    select 1 from daybook.owed o join daybook.lanes l using (webhook_id)
    where o.next_attempt_at is null and o.position <= l.sent_through"""


async def heard(url: str, tenant_id: UUID, webhook_id: UUID) -> None:
    """Until the worker has learned what it was told: one poke is taken after the other,
    so when another one was, it has."""

    async def no_pokes() -> bool:
        return not await rows(url, POKES)

    for _ in range(2):
        await rows(url, POKE, tenant_id, webhook_id)
        await soon(no_pokes)


def at_rest(url: str) -> Any:
    """Until nothing is begun."""

    async def nothing_begun() -> bool:
        return not await rows(url, SENDING)

    return nothing_begun
