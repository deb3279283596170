"""Which lanes this worker owns: taking them, keeping the lease, giving some back.

The lease is the worker's, one row, renewed every 2 s by the database's clock; lanes name
their owner. When the process dies its lease runs out after `lease_seconds` and others take
its lanes; when it is stopped properly they are free at once. No request begins when the
last renewal was sent longer ago than half the lease: by the time another worker may take
the lanes, requests begun under the lease have had the other half to come back.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import structlog

from domain import ids
from domain.webhooks import subscription
from projections import postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.webhooks.lanes import QUERIES, LaneKey, key_params
from workers.webhooks.lane import Lane, Lanes

RENEWALS = 5  # in the length of a lease: every 2 s in one of 10 s
TAKE_AT_ONCE = 1000

log = structlog.get_logger("daybook.lanes")


class Keeper:
    """Owns lanes for one worker process."""

    def __init__(
        self, url: str, lanes: Lanes, lease_seconds: float, changed: Callable[[], None]
    ) -> None:
        """`changed` hears when lanes may have something to do."""
        self._link = Link(url, "daybook_worker", "lanes")
        # Not the same connection: a transaction of the one must not hold the other's.
        self._ending = Link(url, "daybook_worker", "lane endings")
        self._lanes = lanes
        self._lease = lease_seconds
        self._changed = changed
        self._hurry = asyncio.Event()
        self._owner: UUID | None = None
        self._renewed = float("-inf")
        self._handed_off = 0
        self._is_unsure = False  # whether the database gave us lanes we never heard of
        self._endings: set[asyncio.Task[None]] = set()

    def may_begin(self) -> bool:
        """Whether a request may begin now: the lease is certainly ours."""
        return time.monotonic() - self._renewed < self._lease / 2

    def hurry(self) -> None:
        """Look at once: there is a lane nobody owns, or a poke."""
        self._hurry.set()

    async def run(self) -> None:
        """Keep the lease and the lanes until cancelled."""
        while True:
            try:
                await self._tend()
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                self._is_unsure = True
                await asyncio.sleep(0.2)
            else:
                await waiting.wake_up(self._hurry, self._lease / RENEWALS / 4)

    async def leave(self) -> None:
        """Free the lanes for others, now."""
        if self._owner is None:
            return
        try:
            await self._link.rows(QUERIES["goodbye"], {"owner": self._owner})
        except postgres.AWAY:
            pass  # the lease will run out by itself
        await self._link.close()
        await self._ending.close()

    async def _look(self) -> None:
        """Learn what other processes handed off, and what they say of our lanes."""
        rows = await self._link.rows(
            QUERIES["handed_off_since"], {"since": self._handed_off}
        )
        for row in rows:
            self._handed_off = max(self._handed_off, row.through)
        touched = [row for row in rows if row.webhook_id]
        self._lanes.hint([row.webhook_id for row in touched])
        if any(row.owner is None for row in touched):
            await self._take()
        await self._hear_pokes()
        self._changed()

    async def _tend(self) -> None:
        if self._owner is None:
            self._owner = ids.new()
            await self._say("hello")
            await self._share()
        elif time.monotonic() - self._renewed >= self._lease / RENEWALS:
            await self._renew()
            await self._share()
        if self._is_unsure:
            await self._make_sure()
        await self._look()

    async def _renew(self) -> None:
        if await self._say("renew"):
            return
        # The lease ran out: whatever we had may be another's. Begin anew, under another
        # name, so that nothing of ours is mistaken for the new life's.
        log.warning("lease_lost", lanes=len(self._lanes))
        for lane in self._lanes:
            self._lanes.remove(lane)
        self._owner = ids.new()
        await self._say("hello")

    async def _say(self, query: str) -> bool:
        sent = time.monotonic()
        rows = await self._link.rows(
            QUERIES[query], {"owner": self._owner, "lease": self._lease}
        )
        if query == "hello" or rows:
            self._renewed = sent
            return True
        return False

    async def _share(self) -> None:
        """Take lanes nobody owns; with other workers about, no more than our part."""
        [row] = await self._link.rows(QUERIES["shares"], {"owner": self._owner})
        if row.own != len(self._lanes):
            self._is_unsure = True
            return
        part = -(-row.lanes // max(1, row.workers))
        excess = len(self._lanes) - part
        if excess > 0:
            await self._give_back(excess)
        elif excess < 0:
            await self._take(-excess)

    async def _give_back(self, count: int) -> None:
        idle = [lane for lane in self._lanes if lane.is_idle][:count]
        for lane in idle:
            self._lanes.remove(lane)
        params = key_params(lane.key for lane in idle)
        await self._link.rows(QUERIES["give_back"], params | {"owner": self._owner})

    async def _take(self, most: int = TAKE_AT_ONCE) -> None:
        connection = await self._link.connection()
        params = {"owner": self._owner, "most": min(most, TAKE_AT_ONCE)}
        # Taking and recovering are one transaction: a worker that dies between the two
        # leaves the lane as it was.
        async with connection.transaction():
            lanes = _lanes(await self._link.rows(QUERIES["take"], params))
            await self._recover(lanes)
            if lanes:
                failpoint("lanes.taken")
        await self._adopt(lanes)

    async def _recover(self, lanes: Sequence[Lane]) -> None:
        keys = key_params(lane.key for lane in lanes)
        epochs = {"epochs": [lane.epoch for lane in lanes]}
        await self._link.rows(QUERIES["recover"], keys | epochs)

    async def _adopt(self, lanes: Sequence[Lane]) -> None:
        await self._refresh(lanes)
        for lane in lanes:
            self._lanes.add(lane)
        if lanes:
            self._changed()

    async def _make_sure(self) -> None:
        """After a lost connection: lanes that were given to us and pokes that were taken
        without our hearing of it. Adopt the ones, look at everything for the others."""
        rows = await self._link.rows(QUERIES["owned"], {"owner": self._owner})
        owned = {(lane.key, lane.epoch): lane for lane in _lanes(rows)}
        for lane in self._lanes:
            if (lane.key, lane.epoch) not in owned:
                self._lanes.remove(lane)
        unheard = [lane for lane in owned.values() if self._lanes.get(lane.key) is None]
        await self._recover(unheard)
        await self._adopt(unheard)
        await self._refresh(list(self._lanes))
        self._lanes.hint([lane.key.webhook_id for lane in self._lanes])
        self._is_unsure = False

    async def _refresh(self, lanes: Sequence[Lane]) -> None:
        for lane in await refresh(self._link, self._lanes, lanes):
            self._end(lane)

    async def _hear_pokes(self) -> None:
        rows = await self._link.rows(QUERIES["take_pokes"], {"owner": self._owner})
        told = {row.webhook_id for row in rows}
        lanes = [lane for lane in self._lanes if lane.key.webhook_id in told]
        if lanes:
            await self._refresh(lanes)
            self._lanes.hint(told)

    def _end(self, lane: Lane) -> None:
        task = asyncio.create_task(self._cancel_owed(lane))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _cancel_owed(self, lane: Lane) -> None:
        """What is owed to a deleted webhook becomes cancelled; then its lane ends.

        In steps of 5,000 rows, each a transaction under our epoch: after a crash the next
        owner goes on.
        """
        params = lane.key._asdict() | {
            "epoch": lane.epoch,
            "stream": subscription.stream(lane.key.webhook_id),
        }
        while not lane.is_lost:
            try:
                if lane.in_flight == 0:
                    [row] = await self._ending.rows(QUERIES["cancel_owed"], params)
                    if row.cancelled:
                        continue
                    if await self._ending.rows(QUERIES["end_lane"], params):
                        self._lanes.remove(lane)
                        return
            except postgres.AWAY:
                pass
            await asyncio.sleep(0.05)


def _lanes(rows: Sequence[Any]) -> list[Lane]:
    return [
        Lane(
            LaneKey(row.tenant_id, row.webhook_id, row.replay),
            row.epoch,
            is_failing=row.failing,
        )
        for row in rows
    ]


async def refresh(link: Link, owned: Lanes, lanes: Sequence[Lane]) -> list[Lane]:
    """Learn what the lanes' webhooks are like now, and when their next retry is due.

    Returns those whose webhook was deleted.
    """
    by_key = {lane.key: lane for lane in lanes}
    deleted = []
    asked = time.monotonic()
    for row in await link.rows(QUERIES["lane_states"], key_params(by_key)):
        lane = by_key[LaneKey(row.tenant_id, row.webhook_id, row.replay)]
        lane.is_active = row.state == "active"
        lane.max_in_flight = row.max_in_flight
        # A retry that was settled while we asked is not in the answer: keep it.
        if lane.next_due is not None and lane.next_due <= asked:
            lane.next_due = None
        if row.due_in is not None:
            owned.schedule(lane, time.monotonic() + row.due_in)
        if row.state == "deleted":
            deleted.append(lane)
    return deleted
