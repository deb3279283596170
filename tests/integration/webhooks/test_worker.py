"""The worker: delivers, retries, gives up, hands over; with a receiver that is real."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.application import Log
from domain.errors import Unavailable
from domain.log.entry import Context
from domain.webhooks import commands
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

RESULTS = (
    "select state, attempts, status_code, error from daybook.results order by position"
)
ATTEMPTS = """
    select number, outcome, status_code from daybook.attempts order by position, number
"""


async def test_every_event_arrives_once_and_nothing_stays_owed(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url, max_in_flight=7)
    async with working(database_url):
        await publish(log, tenant_id, 500)
        await soon(finished(database_url, 500))

    assert len(receiver.arrivals) == 500
    assert set(receiver.ids().values()) == {1}
    assert receiver.most_in_flight <= 7
    assert {int(a["daybook-sequence"]) for a in receiver.arrivals} == set(range(1, 501))
    assert not await rows(database_url, "select 1 from daybook.owed")


async def test_a_failed_attempt_is_repeated_with_the_same_id(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    receiver.answers.extend([500, 302])
    await subscribe(log, tenant_id, url)
    async with working(database_url):
        await publish(log, tenant_id)
        for attempts in (1, 2):
            await soon(lambda n=attempts: len(receiver.arrivals) == n)
            await soon(lambda: rows(database_url, WAITING))
            await hasten(database_url)
        await soon(finished(database_url, 1))

    assert [a["daybook-attempt"] for a in receiver.arrivals] == ["1", "2", "3"]
    assert len(receiver.ids()) == 1
    assert [tuple(row) for row in await rows(database_url, ATTEMPTS)] == [
        (1, "failed", 500),
        (2, "failed", 302),
        (3, "succeeded", 204),
    ]
    assert [tuple(r) for r in await rows(database_url, RESULTS)] == [
        ("succeeded", 3, 204, None)
    ]


WAITING = "select 1 from daybook.owed where next_attempt_at is not null"


async def test_a_delivery_that_keeps_failing_is_dead_after_its_last_attempt(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    receiver.answers.extend([503] * 4)
    await subscribe(log, tenant_id, url)
    async with working(database_url):
        await publish(log, tenant_id)
        for attempts in (1, 2, 3):
            await soon(lambda n=attempts: len(receiver.arrivals) == n)
            await soon(lambda: rows(database_url, WAITING))
            await hasten(database_url)
        await soon(finished(database_url, 1))

    assert [tuple(r) for r in await rows(database_url, RESULTS)] == [
        ("dead", 4, 503, "status")
    ]
    [lane] = await rows(database_url, "select failing_since from daybook.lanes")
    assert lane.failing_since is not None


async def test_410_kills_the_delivery_and_disables_the_webhook_once(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    receiver.answers.append(410)
    await subscribe(log, tenant_id, url, max_in_flight=1)
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(finished(database_url, 1))
        await publish(log, tenant_id, 2)
        await soon(lambda: rows(database_url, OWED_FOUR))

    assert len(receiver.arrivals) == 1
    [webhook] = await rows(
        database_url, "select state, disabled_reason from daybook.webhooks"
    )
    assert tuple(webhook) == ("disabled", "gone")
    [event] = await rows(
        database_url,
        "select count(*) as n from daybook.events where topic = 'daybook.webhook.disabled'",
    )
    assert event.n == 1
    assert [r.state for r in await rows(database_url, RESULTS)] == ["dead"]


async def test_an_event_that_no_request_can_be_made_of_takes_no_slot_of_the_others(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url, max_in_flight=1)
    await publish(log, tenant_id, 3)
    broken = (
        "insert into daybook.secret_field_ranges (tenant_id, type, to_position, "
        "from_position, secret_fields) values (%s, 'crane.inspected', 2, 2, array['?'])"
    )
    await rows(database_url, broken, tenant_id)
    async with working(database_url):
        await soon(finished(database_url, 2))
    assert len(receiver.arrivals) == 2
    [left] = await rows(database_url, "select position from daybook.owed")
    assert left.position == 2


OWED_FOUR = "select 1 from (select count(*) as n from daybook.owed) o where n = 4"


async def test_410_disables_the_webhook_though_the_database_is_away_at_first(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: tuple[ToldReceiver, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver, url = hook
    receiver.answers.append(410)
    await subscribe(log, tenant_id, url, max_in_flight=1)
    disable, asked = commands.disable, list[Any]()

    def away_at_first(*args: Any) -> bool:
        asked.append(args)
        if len(asked) == 1:
            raise Unavailable
        return disable(*args)

    monkeypatch.setattr(commands, "disable", away_at_first)
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(finished(database_url, 1))

    [webhook] = await rows(database_url, "select disabled_reason from daybook.webhooks")
    assert webhook.disabled_reason == "gone"
    assert len(receiver.arrivals) == 1


async def test_a_disabled_webhook_gets_what_waited_when_it_is_enabled(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    context = Context("test")
    await asyncio.to_thread(
        commands.disable, log, context, tenant_id, webhook_id, "manual"
    )
    async with working(database_url):
        await publish(log, tenant_id, 5)
        await soon(lambda: rows(database_url, "select 1 from daybook.owed"))
        assert not receiver.arrivals
        await asyncio.to_thread(commands.enable, log, context, tenant_id, webhook_id)
        await soon(finished(database_url, 5))

    assert len(receiver.arrivals) == 5


async def test_what_is_owed_to_a_deleted_webhook_becomes_cancelled(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    receiver.answers.extend([500] * 4)
    webhook_id = await subscribe(log, tenant_id, url)
    async with working(database_url):
        await publish(log, tenant_id, 4)
        await soon(lambda: len(receiver.arrivals) == 4)
        await asyncio.to_thread(
            commands.delete, log, Context("test"), tenant_id, webhook_id
        )
        await soon(finished(database_url, 4))
        await soon(lambda: rows(database_url, NO_LANE))

    assert {r.state for r in await rows(database_url, RESULTS)} == {"cancelled"}
    assert len(receiver.arrivals) == 4


NO_LANE = "select 1 where not exists (select from daybook.lanes)"


async def test_a_lost_workers_requests_are_unknown_and_sent_again_by_another(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url)
    receiver.gate.clear()
    async with working(database_url, grace_seconds=0.0) as first:
        await publish(log, tenant_id, 3)
        await soon(lambda: len(receiver.arrivals) == 3)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    receiver.gate.set()
    async with working(database_url):
        await soon(finished(database_url, 3))

    assert set(receiver.ids().values()) == {2}
    assert [
        (row.number, row.outcome) for row in await rows(database_url, ATTEMPTS)
    ] == [
        (1, "unknown"),
        (2, "succeeded"),
    ] * 3


async def test_a_settle_of_a_former_owner_is_late_and_changes_nothing(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url)
    receiver.gate.clear()
    async with working(database_url):
        await publish(log, tenant_id)
        await soon(lambda: receiver.arrivals)
        await rows(database_url, "update daybook.lanes set epoch = epoch + 1")
        receiver.gate.set()
        await soon(lambda: rows(database_url, "select 1 from daybook.attempts"))

    assert [row.outcome for row in await rows(database_url, ATTEMPTS)] == ["late"]
    assert await rows(database_url, "select 1 from daybook.owed")
    assert not await rows(database_url, "select 1 from daybook.results")


async def test_two_workers_share_the_lanes_and_each_event_arrives_once(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    for _ in range(6):
        await subscribe(log, tenant_id, url)
    async with working(database_url), working(database_url):
        await soon(lambda: rows(database_url, SHARED), 15)
        await publish(log, tenant_id, 50)
        await soon(finished(database_url, 300))

    assert set(receiver.ids().values()) == {6}
    assert len({a["daybook-delivery"] for a in receiver.arrivals}) == 300


async def test_a_worker_that_comes_gets_its_part_of_webhooks_that_are_busy(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    for _ in range(6):
        await subscribe(log, tenant_id, url)
    async with working(database_url):
        await soon(lambda: rows(database_url, OWNED_BY_ONE))
        await publish(log, tenant_id, 300)
        receiver.seconds = 0.05  # so it takes 1.5 s
        async with working(database_url):
            await soon(lambda: rows(database_url, SHARED))
            assert await rows(database_url, "select 1 from daybook.owed")
            await soon(finished(database_url, 1800), 30)

    assert set(receiver.ids().values()) == {6}


OWNED_BY_ONE = """
    select 1 from daybook.lanes where owner is not null
    having count(*) = 6 and count(distinct owner) = 1
"""
SHARED = """
    select 1 from (select owner, count(*) as n from daybook.lanes group by owner) o
    where owner is not null having count(*) = 2 and max(n) = 3
"""


async def test_a_cut_connection_costs_nothing_but_time(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    """Every connection of the worker is cut, again and again, while it delivers."""
    receiver, url = hook
    await subscribe(log, tenant_id, url, max_in_flight=50)
    async with working(database_url):
        for _ in range(5):
            await publish(log, tenant_id, 100)
            await rows(database_url, CUT)
        await soon(finished(database_url, 500), 30)

    unknown = {row.number for row in await rows(database_url, UNKNOWN)}
    assert len(receiver.ids()) == 500
    twice = sum(count - 1 for count in receiver.ids().values())
    [row] = await rows(
        database_url,
        "select count(*) as n from daybook.attempts where outcome = 'unknown'",
    )
    assert twice <= row.n
    assert unknown <= {1, 2, 3}


CUT = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name in (
        'daybook lanes', 'daybook dispatcher', 'daybook settling',
        'daybook projection deliveries', 'daybook listener')
"""
UNKNOWN = "select number from daybook.attempts where outcome = 'unknown'"
