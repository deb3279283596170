"""What is asked for by hand: retries and redrives, of replays that have ended too."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from domain.application import Log
from domain.ids import DeliveryKey
from domain.log.entry import Context
from domain.webhooks import commands
from projections.postgres import Database
from projections.webhooks import by_hand, deliveries
from projections.webhooks.by_hand import Dead
from projections.webhooks.lanes import ENDING
from tests.integration.webhooks.test_replays import ENDED, ask, gone
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
ATTEMPTS = """
    select number, trigger, status_code from daybook.attempts
    where replay = %s order by position, number
"""
RESULTS = """
    select state, attempts from daybook.results where replay = %s order by position
"""
HELD = "select 1 from daybook.owed where held_at is not null"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """As the API has it."""
    opened = Database(database_url, "daybook_app", "test")
    await opened.open()
    yield opened
    await opened.close()


async def retry(database: Database, tenant_id: UUID, key: DeliveryKey) -> bool:
    async with database.tenant(tenant_id) as connection:
        found = await deliveries.delivery(connection, tenant_id, key)
        assert found is not None
        return await by_hand.retry(connection, tenant_id, found)


async def redrive(database: Database, dead: Dead) -> int:
    count = 0
    async with database.tenant(dead.tenant_id) as connection:
        running = await by_hand.begin(connection, dead)
    while not running.is_done:
        async with database.tenant(dead.tenant_id) as connection:
            count += await running.step(connection)
    return count


async def shown(url: str, query: str, *params: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await rows(url, query, *params)]


async def test_a_delivery_of_a_replay_that_has_ended_is_tried_again(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, database: Database
) -> None:
    """Its lane is gone: it is made again, and ends again."""
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(finished(database_url, 3))
        await ask(log, tenant_id, webhook_id, to_position=4)
        await soon(lambda: rows(database_url, ENDED))
        await soon(lambda: gone(database_url))
        assert await retry(database, tenant_id, DeliveryKey(3, 1, 1))
        await soon(lambda: len(receiver.arrivals) == 7)
        await soon(finished(database_url, 6))
        await soon(lambda: gone(database_url))

    again = receiver.arrivals[-1]
    assert again["daybook-position"] == "3"
    assert again["daybook-attempt"] == "2"
    assert "daybook-replay" in again
    assert await shown(database_url, RESULTS, 1) == [
        ("succeeded", 1),
        ("succeeded", 2),
        ("succeeded", 1),
    ]
    [replay] = await shown(
        database_url, "select state, handed_off, succeeded, dead from daybook.replays"
    )
    assert replay == ("completed", 3, 3, 0)


async def test_one_of_a_cancelled_replay_is_sent_and_the_others_are_not(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, database: Database
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    await publish(log, tenant_id, 3)
    async with working(database_url):
        await soon(finished(database_url, 3))
        await asyncio.to_thread(
            commands.disable, log, Context("test"), tenant_id, webhook_id, "manual"
        )
        replay_id = await ask(log, tenant_id, webhook_id, to_position=4)
        await soon(lambda: rows(database_url, "select 1 from daybook.owed"))
        await asyncio.to_thread(
            commands.end_replay, log, Context("test"), tenant_id, webhook_id, replay_id
        )
        await soon(finished(database_url, 6))
        await asyncio.to_thread(
            commands.enable, log, Context("test"), tenant_id, webhook_id
        )
        assert await retry(database, tenant_id, DeliveryKey(2, 1, 1))
        await soon(lambda: len(receiver.arrivals) == 4)
        await soon(finished(database_url, 6))
        await soon(lambda: gone(database_url))

    assert sorted(await shown(database_url, RESULTS, 1)) == [
        ("cancelled", 0),
        ("cancelled", 0),
        ("succeeded", 1),
    ]


async def test_what_was_asked_for_outlives_the_cancelling_of_the_rest(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, database: Database
) -> None:
    """Asked for while the replay's other deliveries are being cancelled."""
    receiver, url = hook
    receiver.answers.extend([200] * 3 + [500])
    webhook_id = await subscribe(
        log, tenant_id, url, retry={"delays": [60]}, max_in_flight=1
    )
    await publish(log, tenant_id, 3)
    async with working(database_url):
        await soon(finished(database_url, 3))
        receiver.gate.clear()
        replay_id = await ask(log, tenant_id, webhook_id, to_position=4)
        await soon(lambda: receiver.in_flight == 1)
        await rows(database_url, BY_HAND)
        await asyncio.to_thread(
            commands.end_replay, log, Context("test"), tenant_id, webhook_id, replay_id
        )
        await soon(finished(database_url, 4))
        receiver.gate.set()
        await soon(finished(database_url, 6))
        await soon(lambda: gone(database_url))

    assert len(receiver.arrivals) == 5
    assert await shown(database_url, RESULTS, 1) == [
        ("cancelled", 1),
        ("cancelled", 0),
        ("succeeded", 1),
    ]


# The last one was asked for by hand, and is due.
BY_HAND = """
    update daybook.owed set once = true, next_attempt_at = now() where position = 4
"""


async def test_dead_deliveries_are_owed_again_from_the_schedules_beginning(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, database: Database
) -> None:
    receiver, url = hook
    receiver.answers.extend([500] * 2 + [500] * 3 + [200] * 3)
    webhook_id = await subscribe(log, tenant_id, url, retry={"delays": [60]})
    async with working(database_url):
        await publish(log, tenant_id)
        await _until_dead(database_url, 2)
        dead = Dead(tenant_id, webhook_id)
        assert await redrive(database, dead) == 1
        await _until_dead(database_url, 4)
        assert await redrive(database, dead) == 1
        await soon(lambda: len(receiver.arrivals) == 5)
        await soon(lambda: rows(database_url, WAITING))
        await hasten(database_url)
        await soon(lambda: rows(database_url, SUCCEEDED))
        assert await redrive(database, dead) == 0

    assert await shown(database_url, ATTEMPTS, 0) == [
        (1, "schedule", 500),
        (2, "schedule", 500),
        (3, "redrive", 500),
        (4, "schedule", 500),
        (5, "redrive", 500),
        (6, "schedule", 200),
    ]
    assert len(receiver.ids()) == 1


WAITING = "select 1 from daybook.owed where next_attempt_at > now()"
SUCCEEDED = "select 1 from daybook.results where state = 'succeeded'"
DEAD = "select 1 from daybook.results where state = 'dead' and attempts = %s"


async def _until_dead(url: str, attempts: int) -> None:
    await soon(lambda: rows(url, WAITING))
    await hasten(url)
    await soon(lambda: rows(url, DEAD, attempts))


async def test_what_dies_again_at_once_is_redriven_once(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Step by step, while a worker makes each of them dead again."""
    monkeypatch.setattr(by_hand, "STEP", 2)
    receiver, url = hook
    receiver.answers.extend([500] * 1000)
    webhook_id = await subscribe(log, tenant_id, url, retry={"delays": []})
    async with working(database_url):
        await publish(log, tenant_id, 9)
        await soon(finished(database_url, 9))
        assert await redrive(database, Dead(tenant_id, webhook_id)) == 9
        await soon(lambda: len(receiver.arrivals) == 18)
        await soon(finished(database_url, 9))

    assert set(await shown(database_url, RESULTS, 0)) == {("dead", 2)}


@pytest.mark.parametrize("how", ["redrive", "retry"])
async def test_a_dead_one_that_holds_its_stream_is_sent_and_the_stream_goes_on(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    database: Database,
    how: str,
) -> None:
    receiver, url = hook
    receiver.answers.append(500)
    webhook_id = await subscribe(
        log, tenant_id, url, retry={"delays": []}, ordering="stream", on_dead="hold"
    )
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(lambda: rows(database_url, HELD))
        if how == "redrive":
            keys = [DeliveryKey(2, 1), DeliveryKey(3, 1), DeliveryKey(90, 1)]
            assert await redrive(database, Dead(tenant_id, webhook_id, keys=keys)) == 1
        else:
            assert await retry(database, tenant_id, DeliveryKey(2, 1))
        await soon(finished(database_url, 3))

    assert [a["daybook-position"] for a in receiver.arrivals] == ["2", "2", "3", "4"]
    assert (2, how, 204) in await shown(database_url, ATTEMPTS, 0)


async def test_a_lane_in_which_something_was_asked_for_is_not_ended(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, database: Database
) -> None:
    """A worker finds the lane empty, somebody asks, the worker would end it."""
    webhook_id = await subscribe(log, tenant_id, hook[1])
    async with working(database_url):
        await publish(log, tenant_id)
        await soon(finished(database_url, 1))
        await ask(log, tenant_id, webhook_id, to_position=2)
        await soon(lambda: gone(database_url))
    assert await retry(database, tenant_id, DeliveryKey(2, 1, 1))
    key = {"tenant_id": tenant_id, "webhook_id": webhook_id, "replay": 1}
    looked = key | {"epoch": 0, "asked": 0, "spares": True}
    worker = Database(database_url, "daybook_worker", "test", size=1)
    await worker.open()
    async with worker.connection() as connection:
        assert await retry(database, tenant_id, DeliveryKey(2, 1, 1))
        ended = await connection.execute(ENDING["end_replay_lane"], looked)
        assert await ended.fetchall() == []
        [left] = await (
            await connection.execute(ENDING["still_owed"], looked)
        ).fetchall()
    await worker.close()
    assert (left.asked, left.anything, left.ordinary) == (1, True, False)
