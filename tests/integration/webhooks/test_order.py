"""`ordering: stream`: an event arrives for the first time before the next of its stream."""

import asyncio
from collections import defaultdict
from uuid import UUID

from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import commands
from domain.webhooks.settings import Settings
from tests.support import builders
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

STREAMS = "select stream from daybook.events where position = %s"
Hook = tuple[ToldReceiver, str]


async def first_arrivals(url: str, receiver: ToldReceiver) -> dict[str, list[int]]:
    """The positions that arrived for the first time, by stream, in order of arrival."""
    known = {
        row.position: row.stream
        for row in await rows(url, "select position, stream from daybook.events")
    }
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for arrival in receiver.arrivals:
        position = int(arrival["daybook-position"])
        if position not in seen[known[position]]:
            seen[known[position]].append(position)
    return seen


async def test_streams_keep_their_order_while_receivers_fail(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.answers.extend([204, 500, 204, 503, 500] * 12)
    await subscribe(log, tenant_id, url, ordering="stream")
    async with working(database_url):
        await publish(log, tenant_id, 150, streams=7)

        async def all_finished() -> bool:
            await hasten(database_url)
            return bool(await finished(database_url, 150)())

        await soon(all_finished)

    arrived = await first_arrivals(database_url, receiver)
    assert len(arrived) == 7
    assert all(positions == sorted(positions) for positions in arrived.values())
    assert sum(map(len, arrived.values())) == 150
    assert set(receiver.ids().values()) > {1}


async def test_a_stream_waits_for_its_head_and_others_do_not(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.answers.append(500)
    await subscribe(log, tenant_id, url, ordering="stream", max_in_flight=1)
    async with working(database_url):
        await publish(log, tenant_id, 6, streams=2)  # the first, of site/0, fails
        await soon(finished(database_url, 3))
        assert {a["daybook-position"] for a in receiver.arrivals[1:]} == {"3", "5", "7"}
        await hasten(database_url)
        await soon(finished(database_url, 6))

    arrived = await first_arrivals(database_url, receiver)
    assert arrived["site/0"] == [2, 4, 6]


async def test_a_dead_head_holds_its_stream_until_it_may_go_on(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.answers.append(500)
    once = {"delays": [], "jitter": 0}
    settings = {"ordering": "stream", "on_dead": "hold", "max_in_flight": 1}
    webhook_id = await subscribe(log, tenant_id, url, retry=once, **settings)
    async with working(database_url):
        await publish(log, tenant_id, 4, streams=2)
        await soon(finished(database_url, 2))
        states = await rows(
            database_url, "select position, state from daybook.deliveries order by 1"
        )
        assert [tuple(row) for row in states] == [
            (2, "dead"), (3, "succeeded"), (4, "pending"), (5, "succeeded"),
        ]  # fmt: skip
        await change(log, tenant_id, webhook_id, url, on_dead="continue")
        await soon(finished(database_url, 4))

    assert [a["daybook-position"] for a in receiver.arrivals].count("2") == 1
    assert receiver.arrivals[-1]["daybook-position"] == "4"


async def change(
    log: Log, tenant_id: UUID, webhook_id: UUID, url: str, **given: str
) -> None:
    changed: Settings = builders.settings(
        url=url, event_types=["crane.*"], ordering="stream", **given
    )
    await asyncio.to_thread(
        lambda: commands.configure(
            log, Context("test"), tenant_id, webhook_id, changed, development=True
        )
    )


async def test_a_worker_that_is_lost_leaves_the_order_to_the_next(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.gate.clear()
    await subscribe(log, tenant_id, url, ordering="stream")
    async with working(database_url) as lost:
        await publish(log, tenant_id, 40, streams=4)
        await soon(lambda: receiver.in_flight == 4)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
    receiver.gate.set()
    async with working(database_url):
        await soon(finished(database_url, 40))

    arrived = await first_arrivals(database_url, receiver)
    assert all(positions == sorted(positions) for positions in arrived.values())
    unknown = "select 1 from daybook.attempts where outcome = 'unknown'"
    assert len(await rows(database_url, unknown)) == 4
