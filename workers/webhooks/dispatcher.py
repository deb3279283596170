"""From owed to sent: lanes that have room get their next rows, and each row a request.

Tenants take turns, then their lanes, each at most its own window; so one with a hundred
thousand waiting rows or a receiver that hangs keeps nobody else's. No connection to the
database is held while a request runs.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog

from projections import postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.webhooks.lanes import OWNING, QUERIES, Due, key_of, key_params
from workers.webhooks import targets
from workers.webhooks.courier import Begun, Courier
from workers.webhooks.keeper import Keeper
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.states import refresh

LANES_AT_ONCE = 200
BUSY = 16  # attempts under way that keep the loop busy
POLL_SECONDS = 1.0
# Endpoints that are slow to answer have so much of the slots between them.
SLOW_PART = 0.75
GATHER_SECONDS = 0.008

log = structlog.get_logger("daybook.deliveries")


class Dispatcher:
    """Begins attempts for one worker process."""

    def __init__(
        self,
        url: str,
        *,
        lanes: Lanes,
        keeper: Keeper,
        courier: Courier,
        wake: asyncio.Event,
    ) -> None:
        """`wake` is set by whoever knows that a lane may have something to do."""
        self._link = Link(url, "daybook_worker", "dispatcher")
        self._lanes = lanes
        self._keeper = keeper
        self._courier = courier
        self._wake = wake
        self._doubtful: set[Lane] = set()
        self._begun_at = 0.0
        self._is_stopping = False

    def stop(self) -> None:
        """Let `run` end; what is being asked for now is still sent."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Begin what is owed until stopped. Cancelled in the middle of asking, rows are
        begun and nobody sends them: an attempt each that was never made."""
        while not self._is_stopping:
            try:
                await self._resolve_doubts()
                await self.put_back()
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

    async def put_back(self) -> None:
        """What was begun and not made is owed as before. Raises one of AWAY.

        On the connection that begins: said there, it is never said again of an attempt that
        has begun once more. Whether it was heard may be in doubt, like what was begun.
        """
        late = self._courier.take_late()
        ours = [begun for begun in late if not begun.lane.is_lost]
        try:
            if ours:
                await self._link.rows(QUERIES["put_back"], _rows_of(ours))
        except postgres.AWAY:
            self._doubt([begun.lane for begun in ours])
            raise
        finally:
            for lane, _, _ in late:
                lane.withdraw()
                lane.settled()
                self._lanes.schedule(lane, time.monotonic())
                self._lanes.line_up_all_of(lane)

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    @property
    def _free(self) -> int:
        return self._courier.free + self._courier.ahead

    async def _fill(self) -> bool:
        """Begin what can begin; whether anything did."""
        await self._gather()
        free = self._free
        if free <= 0:
            return False
        # The last slots are for endpoints that answer at once.
        is_scarce = self._courier.free <= (1 - SLOW_PART) * self._courier.slots
        lanes = self._lanes.next(min(LANES_AT_ONCE, free), slow=not is_scarce)
        if not lanes:
            return False
        try:
            return await self._begin_all(lanes)
        finally:
            for lane in lanes:
                self._lanes.line_up(lane)

    async def _gather(self) -> None:
        """While enough is under way, let slots become free before asking for rows: a
        statement costs nearly as much for one as for twenty."""
        passed = time.monotonic() - self._begun_at
        if passed < GATHER_SECONDS:
            enough = max(BUSY, self._courier.ahead // 2)
            await self._courier.calm(enough, GATHER_SECONDS - passed)
        self._begun_at = time.monotonic()

    async def _begin_all(self, lanes: Sequence[Lane]) -> bool:
        await self._release([lane for lane in lanes if lane.finished])
        now = time.monotonic()
        begun = await self._begin("due_attempts", [x for x in lanes if x.is_due(now)])
        new = [lane for lane in lanes if lane.has_new and self._lanes.room(lane)]
        new = new[: max(0, self._free)]
        begun += await self._begin("first_attempts", new)
        return begun > 0

    async def _release(self, lanes: Sequence[Lane]) -> None:
        """Rows that waited for the head of their stream are due."""
        pairs = [(lane, stream) for lane in lanes for stream in lane.finished]
        if not pairs:
            return
        for lane in lanes:
            lane.finished.clear()  # before looking: one that is finished meanwhile stays
        params = key_params(lane.key for lane, _ in pairs)
        try:
            rows = await self._link.rows(
                QUERIES["release"],
                params | {"streams": [stream for _, stream in pairs]},
            )
        except postgres.AWAY:
            for lane, stream in pairs:
                lane.finished.add(stream)
                # If it was committed, the next time finds nothing to release.
                self._lanes.schedule(lane, time.monotonic())
            raise
        released = {key_of(row) for row in rows}
        for lane in lanes:
            if lane.key in released:
                self._lanes.schedule(lane, time.monotonic())

    async def _begin(self, query: str, lanes: Sequence[Lane]) -> int:
        rooms = self._reserve(lanes)
        if not rooms:
            return 0
        asking, first = list(rooms), query == "first_attempts"
        for lane in asking:
            # Before looking: a hint that comes meanwhile stays.
            lane.has_new = lane.has_new and not first
        params: dict[str, Any] = key_params(lane.key for lane in asking) | {
            "epochs": [lane.epoch for lane in asking],
            "rooms": list(rooms.values()),
            "looks": [lane.look(room) for lane, room in rooms.items()],
        }
        try:
            rows: list[Due] = await self._link.rows(QUERIES[query], params, binary=True)
            if rows:
                failpoint("lanes.begun" if first else "lanes.begun_again")
            await self._aim(asking, rows)
        except postgres.AWAY:
            self._doubt(asking)
            raise
        finally:
            for lane, room in rooms.items():
                lane.is_asking = False
                lane.endpoint.reserved -= room
        counts = self._start(asking, rows)
        await self._note(query, rooms, counts, rows)
        return counts.total()

    def _reserve(self, lanes: Sequence[Lane]) -> dict[Lane, int]:
        """How many rows each lane may ask for; set aside until they have come.

        The free slots are shared out anew each time: others may have taken some.
        """
        share = max(1, self._free // max(1, len(lanes)))
        rooms: dict[Lane, int] = {}
        for lane in lanes:
            room = min(self._lanes.room(lane), share)
            if room > 0:
                rooms[lane] = room
                lane.is_asking = True
                lane.endpoint.reserved += room
            elif lane.has_work(time.monotonic()):
                self._lanes.line_up(lane)
        return rooms

    async def _aim(self, asked: Sequence[Lane], rows: Sequence[Due]) -> None:
        """See that each lane's target is of the version these rows begin with."""
        # All of a lane's rows say the same: they are of one statement.
        versions = {asked[row.lane - 1]: row.webhook_version for row in rows}
        stale = [
            lane
            for lane, version in versions.items()
            if lane.target is None or lane.target.webhook_version < version
        ]
        if stale:
            await targets.read(self._link, stale)

    def _start(self, asked: Sequence[Lane], rows: Sequence[Due]) -> Counter[Lane]:
        counts: Counter[Lane] = Counter()
        for row in rows:
            lane = asked[row.lane - 1]
            # A lane that was lost meanwhile, and perhaps taken again under another epoch,
            # has had its begun rows recovered: they are not ours to send.
            if row.number and not lane.is_lost:
                counts[lane] += 1
                self._courier.start(lane, row)
        return counts

    async def _note(
        self,
        query: str,
        rooms: dict[Lane, int],
        counts: Counter[Lane],
        rows: Sequence[Due],
    ) -> None:
        """Remember which lanes may have more."""
        if query == "due_attempts":
            emptied = [lane for lane, room in rooms.items() if counts[lane] < room]
            await refresh(self._link, self._lanes, emptied)
            return
        looked = Counter(row.lane for row in rows)
        for number, (lane, room) in enumerate(rooms.items(), start=1):
            if counts[lane] >= room or looked[number] >= lane.look(room):
                lane.has_new = True

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
        quiet = [lane for lane in self._doubtful if not lane.unsettled or lane.is_lost]
        if not quiet:
            return
        keys = key_params(lane.key for lane in quiet)
        epochs = {"epochs": [lane.epoch for lane in quiet]}
        rows = await self._link.rows(OWNING["begin_anew"], keys | epochs)
        anew = {key_of(row): row.epoch for row in rows}
        for lane in quiet:
            if lane.key in anew:
                lane.epoch = anew[lane.key]
            elif not lane.is_lost:  # not under our epoch any more: the keeper finds out
                self._lanes.remove(lane)
        ours = [lane for lane in quiet if not lane.is_lost]
        epochs = {"epochs": [lane.epoch for lane in ours]}
        await self._link.rows(
            OWNING["recover"], key_params(lane.key for lane in ours) | epochs
        )
        await refresh(self._link, self._lanes, ours)
        for lane in quiet:
            self._doubtful.discard(lane)
            lane.is_doubtful, lane.has_new = False, True
            self._lanes.line_up(lane)


def _rows_of(attempts: Sequence[Begun]) -> dict[str, Any]:
    return key_params(begun.lane.key for begun in attempts) | {
        "epochs": [begun.lane.epoch for begun in attempts],
        "positions": [begun.due.position for begun in attempts],
        "numbers": [begun.due.number for begun in attempts],
    }
