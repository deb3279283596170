"""Attempts and slots: what has begun finds a carrier, whenever it comes."""

import asyncio
from typing import Any

from domain import ids
from projections.webhooks.lanes import LaneKey
from workers.webhooks.courier import Courier
from workers.webhooks.endpoint import Endpoint, WebhookKey
from workers.webhooks.lane import Lane


async def test_what_begins_as_the_last_slot_becomes_free_is_carried() -> None:
    nobody: Any = None
    courier = Courier(nobody, nobody, nobody, nobody, slots=1, wake=lambda: None)
    answered, second = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def deliver(lane: Any, due: Any) -> None:
        if due == 1:
            await answered
        else:
            second.set()

    courier._deliver = deliver  # type: ignore[method-assign]
    key = LaneKey(ids.new(), ids.new(), 0)
    lane = Lane(key, 1, Endpoint(WebhookKey(key.tenant_id, key.webhook_id)))
    courier.start(lane, 1)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    # The answer and the database's rows come in one turn of the loop.
    answered.set_result(None)
    asyncio.get_running_loop().call_soon(courier.start, lane, 2)
    async with asyncio.timeout(1):
        await second.wait()
