"""From owed to sent: lanes that have room get their next rows, and each row a request.

Round robin over lanes, each at most its own window, so one with a hundred thousand waiting
rows or a receiver that hangs keeps nobody else's. No connection to the database is held
while a request runs.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import structlog

from domain import clock
from projections import postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.vault import Vault, VaultError
from projections.webhooks.lanes import QUERIES, Due, LaneKey, key_params
from workers.webhooks import message
from workers.webhooks.keeper import Keeper, refresh
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.sender import Outgoing, Sender
from workers.webhooks.settling import Done, Settler

LANES_AT_ONCE = 200
POLL_SECONDS = 1.0

log = structlog.get_logger("daybook.deliveries")


class Dispatcher:
    """Sends for one worker process."""

    def __init__(
        self,
        url: str,
        *,
        lanes: Lanes,
        keeper: Keeper,
        settler: Settler,
        sender: Sender,
        vault: Vault,
        concurrency: int,
        wake: asyncio.Event,
    ) -> None:
        """`wake` is set by whoever knows that a lane may have something to do."""
        self._link = Link(url, "daybook_worker", "dispatcher")
        self._lanes = lanes
        self._keeper = keeper
        self._settler = settler
        self._sender = sender
        self._vault = vault
        self._slots = concurrency
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()
        self._doubtful: set[Lane] = set()

    async def run(self) -> None:
        """Send what is owed until cancelled."""
        while True:
            try:
                await self._resolve_doubts()
                begun = self._keeper.may_begin() and await self._fill()
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                for lane in self._lanes:  # those of this round have left the line
                    self._lanes.line_up(lane)
                await asyncio.sleep(0.2)
            else:
                if not begun:
                    await waiting.wake_up(
                        self._wake, self._lanes.seconds_to_next(POLL_SECONDS)
                    )

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight; what is not answered by then is cut off."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()
        await self._link.close()

    async def _fill(self) -> bool:
        """Begin what can begin; whether anything did."""
        free = self._slots - len(self._tasks)
        lanes = self._lanes.next(min(LANES_AT_ONCE, free)) if free > 0 else []
        if not lanes:
            return False
        now = time.monotonic()
        due = [lane for lane in lanes if lane.is_due(now)]
        begun = await self._begin("due_attempts", due)
        new = [lane for lane in lanes if lane.has_new and lane.room]
        new = new[: max(0, self._slots - len(self._tasks))]
        for lane in new:
            lane.has_new = False  # before looking: a hint that comes meanwhile stays
        begun += await self._begin("first_attempts", new)
        for lane in lanes:
            self._lanes.line_up(lane)
        return begun > 0

    async def _begin(self, query: str, lanes: Sequence[Lane]) -> int:
        if not lanes:
            return 0
        # The free slots are shared out anew each time: retries may have taken some.
        share = max(1, (self._slots - len(self._tasks)) // len(lanes))
        rooms = {lane.key: min(lane.room, share) for lane in lanes}
        params: dict[str, Any] = key_params(rooms) | {
            "epochs": [lane.epoch for lane in lanes],
            "rooms": list(rooms.values()),
        }
        for lane in lanes:
            lane.is_asking = True
        try:
            rows: list[Due] = await self._link.rows(QUERIES[query], params)
        except postgres.AWAY:
            self._doubt(lanes)
            raise
        finally:
            for lane in lanes:
                lane.is_asking = False
        if rows:
            first = query == "first_attempts"
            failpoint("lanes.begun" if first else "lanes.begun_again")
        counts: defaultdict[LaneKey, int] = defaultdict(int)
        by_key = {lane.key: lane for lane in lanes}
        for row in rows:
            lane = by_key[LaneKey(row.tenant_id, row.webhook_id, row.replay)]
            counts[lane.key] += 1
            # A lane that was lost meanwhile, and perhaps taken again under another epoch,
            # has had its begun rows recovered: they are not ours to send.
            if not lane.is_lost:
                self._start(lane, row)
        await self._note(query, lanes, rooms, counts)
        return len(rows)

    async def _note(
        self,
        query: str,
        lanes: Sequence[Lane],
        rooms: dict[LaneKey, int],
        counts: dict[LaneKey, int],
    ) -> None:
        """Remember which lanes may have more."""
        emptied = []
        for lane in lanes:
            if counts.get(lane.key, 0) < rooms[lane.key]:
                emptied.append(lane)
            elif query == "first_attempts":
                lane.has_new = True
        if query == "due_attempts":
            await refresh(self._link, self._lanes, emptied)

    def _doubt(self, lanes: Sequence[Lane]) -> None:
        """The statement's fate is unknown: it may have begun rows we never heard of."""
        for lane in lanes:
            lane.is_doubtful = True
            self._doubtful.add(lane)

    async def _resolve_doubts(self) -> None:
        """Begin such rows again, once the lane has nothing else in flight.

        Then whatever is marked as begun there is one of them: an attempt that nobody made
        as far as we know, recorded as unknown like after a takeover.
        """
        quiet = [lane for lane in self._doubtful if not lane.in_flight or lane.is_lost]
        if not quiet:
            return
        keys = key_params(lane.key for lane in quiet)
        epochs = {"epochs": [lane.epoch for lane in quiet]}
        rows = await self._link.rows(QUERIES["begin_anew"], keys | epochs)
        anew = {LaneKey(r.tenant_id, r.webhook_id, r.replay): r.epoch for r in rows}
        for lane in quiet:
            if lane.key in anew:
                lane.epoch = anew[lane.key]
            elif not lane.is_lost:  # not under our epoch any more: the keeper finds out
                self._lanes.remove(lane)
        ours = [lane for lane in quiet if not lane.is_lost]
        epochs = {"epochs": [lane.epoch for lane in ours]}
        await self._link.rows(
            QUERIES["recover"], key_params(lane.key for lane in ours) | epochs
        )
        await refresh(self._link, self._lanes, ours)
        for lane in quiet:
            self._doubtful.discard(lane)
            lane.is_doubtful, lane.has_new = False, True
            self._lanes.line_up(lane)

    def _start(self, lane: Lane, due: Due) -> None:
        lane.in_flight += 1
        lane.max_in_flight = due.max_in_flight
        task = asyncio.create_task(self._deliver(lane, due))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_defect", exc_info=error)

    async def _deliver(self, lane: Lane, due: Due) -> None:
        """One attempt: compose, send, hand to the settler."""
        try:
            request = message.compose(due, self._vault)
        except VaultError:
            # Without its secret nothing may leave, so nothing more begins here. The row
            # stays as begun: with the right key, a restart finds it and goes on.
            log.exception("secret_unavailable", webhook=str(due.webhook_id))
            lane.is_active = False
            lane.in_flight -= 1
            return
        if not await self._may_send(lane):
            return
        await self._send(lane, due, request)

    async def _send(self, lane: Lane, due: Due, request: Outgoing) -> None:
        begun = clock.now()
        answer = await self._sender.send(request)
        failpoint("lanes.answered")
        self._settler.add(Done(lane, due, begun, request, answer))

    async def _may_send(self, lane: Lane) -> bool:
        """Wait out a doubt about the lease; false when the lane was lost over it."""
        while not self._keeper.may_begin():
            if lane.is_lost:
                return False
            await asyncio.sleep(0.1)
        return not lane.is_lost
