"""What a worker remembers of the lanes it owns, and which of them have something to do."""

import heapq
import time
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from projections.webhooks.lanes import LaneKey


@dataclass(slots=True, eq=False)
class Lane:
    """One lane under one epoch. Times are of the monotonic clock."""

    key: LaneKey
    epoch: int
    is_failing: bool = False
    is_active: bool = True
    is_lost: bool = False  # another worker's by now: begin nothing
    is_doubtful: bool = False  # rows may have been begun that we were not told of
    max_in_flight: int = 10
    in_flight: int = 0
    is_asking: bool = False  # its next rows are on their way from the database
    has_new: bool = True
    next_due: float | None = None

    @property
    def room(self) -> int:
        """How many more requests it may have in flight."""
        if self.is_lost or self.is_doubtful or not self.is_active:
            return 0
        return max(0, self.max_in_flight - self.in_flight)

    @property
    def is_idle(self) -> bool:
        """Whether it can be given to another worker without a request being lost."""
        return not self.in_flight and not self.is_asking

    def is_due(self, now: float) -> bool:
        """Whether a retry's time has come."""
        return self.next_due is not None and self.next_due <= now


class Lanes:
    """The lanes of this worker. A lane stands in line when it may have something to do;
    one that waits, for a slot or for a time, does not, so idle lanes cost nothing."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._by_webhook: defaultdict[UUID, list[Lane]] = defaultdict(list)
        self._line: OrderedDict[LaneKey, Lane] = OrderedDict()
        self._times: list[tuple[float, LaneKey]] = []

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    def get(self, key: LaneKey) -> Lane | None:
        """The lane, if it is ours."""
        return self._lanes.get(key)

    def add(self, lane: Lane) -> None:
        """A lane was taken."""
        self._lanes[lane.key] = lane
        self._by_webhook[lane.key.webhook_id].append(lane)
        self.line_up(lane)
        self.schedule(lane, lane.next_due)

    def remove(self, lane: Lane) -> None:
        """A lane is not ours any more; what is in flight settles as late or not at all."""
        lane.is_lost = True
        self._lanes.pop(lane.key, None)
        self._line.pop(lane.key, None)
        self._by_webhook[lane.key.webhook_id].remove(lane)
        if not self._by_webhook[lane.key.webhook_id]:
            del self._by_webhook[lane.key.webhook_id]

    def hint(self, webhooks: Collection[UUID]) -> bool:
        """These webhooks were given rows; whether all of them are ours."""
        known = True
        for webhook_id in webhooks:
            lanes = self._by_webhook.get(webhook_id)
            if not lanes:
                known = False
                continue
            for lane in lanes:
                lane.has_new = True
                self.line_up(lane)
        return known

    def line_up(self, lane: Lane) -> None:
        """It may have something to do."""
        if not lane.is_lost:
            self._line.setdefault(lane.key, lane)

    def schedule(self, lane: Lane, due: float | None) -> None:
        """A retry is due then, or sooner ones already are."""
        if due is None:
            return
        if lane.next_due is None or due <= lane.next_due:
            lane.next_due = due
            heapq.heappush(self._times, (due, lane.key))

    def next(self, most: int) -> list[Lane]:
        """The lanes at the head of the line that have room; they leave the line."""
        self._line_up_due()
        chosen: list[Lane] = []
        while self._line and len(chosen) < most:
            _, lane = self._line.popitem(last=False)
            if lane.room and (lane.has_new or lane.is_due(time.monotonic())):
                chosen.append(lane)
        return chosen

    def seconds_to_next(self, longest: float) -> float:
        """How long nothing more will be due; what is due already stands in line."""
        self._line_up_due()
        if not self._times:
            return longest
        return min(longest, max(0.0, self._times[0][0] - time.monotonic()))

    def _line_up_due(self) -> None:
        now = time.monotonic()
        while self._times and self._times[0][0] <= now:
            _, key = heapq.heappop(self._times)
            if lane := self._lanes.get(key):
                self.line_up(lane)
