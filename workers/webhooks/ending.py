"""What is owed and will not be sent becomes cancelled; and what ends a lane.

A deleted webhook, a cancelled or completed replay, what a webhook was told to skip when it
was enabled, dead deliveries that hold their streams and need not any more. In steps of
5,000 rows, each a transaction under our epoch: after a crash the next owner goes on.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from domain.webhooks import subscription
from projections import postgres
from projections.postgres import Link
from projections.webhooks.lanes import ENDING
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.states import refresh

PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
# Between two looks whether a lane is empty in which something was asked for by hand.
OVER_SECONDS = 5.0
EVERYTHING = 2**63 - 1


class Ender:
    """Ends things for one worker process, a task a lane."""

    def __init__(self, link: Link, lanes: Lanes) -> None:
        self._link = link
        self._lanes = lanes
        self._tasks: dict[Lane, asyncio.Task[None]] = {}

    def end(self, lanes: Sequence[Lane]) -> None:
        """Something is to be ended in these lanes."""
        for lane in lanes:
            if lane not in self._tasks:
                self._tasks[lane] = asyncio.create_task(self._end(lane))

    async def close(self) -> None:
        """Stop; the next owner goes on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, lane: Lane) -> None:
        pause = PAUSE_SECONDS
        try:
            while not lane.is_lost and not await self._try(lane):
                await asyncio.sleep(pause)
                waits = lane.is_over and not lane.has_ended
                pause = min(pause * 2, OVER_SECONDS if waits else LONGEST_PAUSE_SECONDS)
        finally:
            # Not in a callback of the task: who asks before it ran would not be heard.
            del self._tasks[lane]

    async def _try(self, lane: Lane) -> bool:
        with contextlib.suppress(*postgres.AWAY):
            return await self._step(lane)
        return False

    async def _step(self, lane: Lane) -> bool:
        """Do all that can be done now; whether that was all."""
        await self._let_go(lane)
        through = EVERYTHING if lane.has_ended else lane.skip_through
        params = self._params(lane) | {"through": through}
        while through:
            [row] = await self._link.rows(ENDING["cancel_owed"], params)
            if not row.cancelled:
                break
        if lane.has_ended or lane.is_over:
            return await self._end_lane(lane, params)
        if not through:
            return True
        if await self._link.rows(ENDING["end_skipping"], params):
            lane.skip_through = 0
        else:  # not yet; or it has ended without our hearing of it
            await refresh(self._link, self._lanes, [lane])
        if lane.skip_through:
            return False
        lane.has_new = True
        self._lanes.line_up(lane)
        return True

    async def _let_go(self, lane: Lane) -> None:
        if lane.on_dead == "continue":
            await self._link.rows(ENDING["let_go"], self._params(lane))
            if await self._link.rows(ENDING["free_streams"], self._params(lane)):
                self._lanes.schedule(lane, time.monotonic())
                self._lanes.line_up(lane)

    async def _end_lane(self, lane: Lane, params: dict[str, Any]) -> bool:
        rows = await self._link.rows(ENDING["still_owed"], params)
        if not rows:  # not under our epoch any more: the keeper finds out
            return False
        [left] = rows
        if lane.spares and not left.ordinary and lane.has_ended:
            # What is left was asked for by hand, and is sent.
            lane.has_ended, lane.has_new = False, True
            self._lanes.line_up(lane)
        if left.anything or lane.unsettled:
            return False
        query = ENDING["end_replay_lane" if lane.key.replay else "end_lane"]
        if not await self._link.rows(query, params | {"asked": left.asked}):
            return False
        self._lanes.remove(lane)
        return True

    def _params(self, lane: Lane) -> dict[str, Any]:
        return lane.key._asdict() | {
            "epoch": lane.epoch,
            "spares": lane.spares,
            "stream": subscription.stream(lane.key.webhook_id),
        }
