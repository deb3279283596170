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
from projections import postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.webhooks.lanes import OWNING, QUERIES, key_of, key_params
from workers.webhooks.ending import Ender
from workers.webhooks.endpoint import Endpoint
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.states import refresh

RENEWALS = 5  # in the length of a lease: every 2 s in one of 10 s
TAKE_AT_ONCE = 1000

log = structlog.get_logger("daybook.lanes")


class Keeper:
    """Owns lanes for one worker process."""

    def __init__(
        self,
        url: str,
        lanes: Lanes,
        ender: Ender,
        lease_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        """`changed` hears when lanes may have something to do."""
        self._link = Link(url, "daybook_worker", "lanes")
        self._lanes = lanes
        self._ender = ender
        self._lease = lease_seconds
        self._changed = changed
        self._hurry = asyncio.Event()
        self.owner: UUID | None = None
        self._renewed = float("-inf")
        self._handed_off = 0
        self._is_unsure = False  # whether the database gave us lanes we never heard of

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
        if self.owner is None:
            return
        try:
            await self._link.rows(OWNING["goodbye"], {"owner": self.owner})
        except postgres.AWAY:
            pass  # the lease will run out by itself
        await self._link.close()

    async def _look(self) -> None:
        """Learn what other processes handed off, and what they say of our lanes."""
        rows = await self._link.rows(
            OWNING["handed_off_since"], {"since": self._handed_off}
        )
        for row in rows:
            self._handed_off = max(self._handed_off, row.through)
        touched = [row for row in rows if row.webhook_id]
        self._lanes.hint([row.webhook_id for row in touched])
        if any(row.owner is None for row in touched):
            await self._share()
        await self._hear_pokes()
        self._changed()

    async def _tend(self) -> None:
        if self.owner is None:
            self.owner = ids.new()
            await self._say("hello")
            await self._share()
        elif self._is_renewal_due():
            await self._renew()
            await self._share()
            await self._take_replays()
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
        self.owner = ids.new()
        await self._say("hello")

    def _is_renewal_due(self) -> bool:
        return time.monotonic() - self._renewed >= self._lease / RENEWALS

    async def _say(self, query: str) -> bool:
        sent = time.monotonic()
        rows = await self._link.rows(
            OWNING[query], {"owner": self.owner, "lease": self._lease}
        )
        if query == "hello" or rows:
            self._renewed = sent
            return True
        return False

    async def _share(self) -> None:
        """Take lanes nobody owns; with other workers about, no more than our part."""
        [row] = await self._link.rows(OWNING["shares"], {"owner": self.owner})
        if row.lanes != len(self._lanes):
            self._is_unsure = True
            return
        part = -(-row.webhooks // max(1, row.workers))
        excess = row.own - part
        if excess > 0:
            await self._give_back(excess)
        # A part at a time, as each is one transaction; the lease is renewed in between.
        while excess < 0 and not self._is_renewal_due():
            taken = await self._take(-excess)
            excess = excess + taken if taken else 0

    async def _give_back(self, count: int) -> None:
        """So many webhooks at most, each with all its lanes and nothing in flight.

        Busy ones begin nothing for a moment, or a worker that comes would never get any;
        those that are slow to answer stay. The others are told, and whoever has less than
        its part takes them: we do ourselves, if nobody is there any more.
        """
        leaving = self._to_give(count)
        for each in leaving:
            each.is_leaving = True
        try:
            await _quiet(leaving, self._lease / RENEWALS / 4)
            given = [each for each in leaving if self._is_idle(each)]
            await self._give(given)
        finally:
            for each in leaving:
                each.is_leaving = False
                for lane in self._lanes.of(each.key.webhook_id):
                    self._lanes.line_up(lane)
        self._changed()

    def _to_give(self, count: int) -> list[Endpoint]:
        """So many webhooks at most: first those with least on its way."""
        now = time.monotonic()
        own = {lane.endpoint: None for lane in self._lanes}
        quick = [each for each in own if not each.unsettled or not each.is_slow(now)]
        return sorted(quick, key=lambda each: each.unsettled)[:count]

    def _is_idle(self, endpoint: Endpoint) -> bool:
        lanes = self._lanes.of(endpoint.key.webhook_id)
        return bool(lanes) and all(each.is_idle for each in lanes)

    async def _give(self, given: Sequence[Endpoint]) -> None:
        for each in given:
            for lane in self._lanes.of(each.key.webhook_id):
                self._lanes.remove(lane)
        params = {
            "tenants": [each.key.tenant_id for each in given],
            "webhooks": [each.key.webhook_id for each in given],
            "owner": self.owner,
        }
        await self._link.rows(OWNING["give_back"], params)
        await self._link.rows(QUERIES["notify_work"])

    async def _take_replays(self) -> None:
        """Lanes of new replays of our webhooks. Asked at a poke; and now and then, for a
        poke that was taken without our hearing of it."""
        rows = await self._link.rows(OWNING["take_replays"], {"owner": self.owner})
        if rows:
            lanes = [self._lane(row) for row in rows]
            await self._recover(lanes)
            await self._adopt(lanes)

    async def _take(self, most: int = TAKE_AT_ONCE) -> int:
        """Webhooks that nobody owns; how many there were."""
        connection = await self._link.connection()
        params = {"owner": self.owner, "most": min(most, TAKE_AT_ONCE)}
        # Taking and recovering are one transaction: a worker that dies between the two
        # leaves the lane as it was.
        async with connection.transaction():
            lanes = [
                self._lane(x) for x in await self._link.rows(OWNING["take"], params)
            ]
            await self._recover(lanes)
            if lanes:
                failpoint("lanes.taken")
        await self._adopt(lanes)
        return sum(lane.key.replay == 0 for lane in lanes)

    async def _recover(self, lanes: Sequence[Lane]) -> None:
        keys = key_params(lane.key for lane in lanes)
        epochs = {"epochs": [lane.epoch for lane in lanes]}
        await self._link.rows(OWNING["recover"], keys | epochs)

    async def _adopt(self, lanes: Sequence[Lane]) -> None:
        await self._refresh(lanes)
        for lane in lanes:
            self._lanes.add(lane)
        if lanes:
            self._changed()

    async def _make_sure(self) -> None:
        """After a lost connection: lanes that were given to us and pokes that were taken
        without our hearing of it. Adopt the ones, look at everything for the others."""
        rows = await self._link.rows(OWNING["owned"], {"owner": self.owner})
        owned = {key_of(row): row.epoch for row in rows}
        for lane in self._lanes:
            epoch = owned.get(lane.key)
            # A smaller one was read before the dispatcher began anew, and is past.
            if epoch is None or epoch > lane.epoch:
                self._lanes.remove(lane)
        unheard = [self._lane(x) for x in rows if self._lanes.get(key_of(x)) is None]
        await self._recover(unheard)
        await self._adopt(unheard)
        await self._refresh(list(self._lanes))
        self._lanes.hint([lane.key.webhook_id for lane in self._lanes])
        self._is_unsure = False

    async def _refresh(self, lanes: Sequence[Lane]) -> None:
        self._ender.end(await refresh(self._link, self._lanes, lanes))

    async def _hear_pokes(self) -> None:
        rows = await self._link.rows(OWNING["take_pokes"], {"owner": self.owner})
        if any(not row.is_owned for row in rows):
            await self._share()
        told = {row.webhook_id for row in rows if row.is_owned}
        if not told:
            return
        await self._take_replays()
        lanes = [lane for webhook_id in told for lane in self._lanes.of(webhook_id)]
        await self._refresh(lanes)
        self._lanes.hint(told)

    def _lane(self, row: Any) -> Lane:
        key = key_of(row)
        return Lane(key, row.epoch, self._lanes.endpoint(key))


async def _quiet(endpoints: Sequence[Endpoint], most: float) -> None:
    """Until all that they have in flight is settled, or for so many seconds."""
    end = time.monotonic() + most
    while any(each.unsettled or each.reserved for each in endpoints):
        if time.monotonic() >= end:
            return
        await asyncio.sleep(0.01)
