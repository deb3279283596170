"""What a worker remembers of the lanes it owns, and which of them have something to do."""

import heapq
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from projections.telemetry import Watched
from projections.webhooks.lanes import LaneKey
from workers.webhooks.endpoint import Endpoint, WebhookKey
from workers.webhooks.line import Line
from workers.webhooks.message import Target

EVER = datetime.min.replace(tzinfo=UTC)

# How far a lane that keeps its streams in order looks ahead for one that is free.
LOOK_AHEAD = 500


@dataclass(slots=True, eq=False)
class Lane:
    """One lane under one epoch. Times are of the monotonic clock."""

    key: LaneKey
    epoch: int
    endpoint: Endpoint
    is_lost: bool = False  # another worker's by now: begin nothing
    is_doubtful: bool = False  # rows may have been begun that we were not told of
    is_ordered: bool = False
    on_dead: str = (
        "continue"  # what a dead delivery means for its stream, where ordered
    )
    has_ended: bool = False  # all that is owed gets cancelled: send nothing
    is_over: bool = False  # of a replay that has ended: it goes when nothing is owed
    spares: bool = False  # a replay's: what is asked for by hand is never cancelled
    replay_id: UUID | None = None
    fresh_ids: bool = False
    skip_through: int = 0
    begun_at: datetime = EVER  # of a replay: deliveries age from then
    target: Target | None = None  # what requests carry, by one version of the webhook
    unsettled: int = 0
    on_wire: int = 0
    is_asking: bool = False  # its next rows are on their way from the database
    has_new: bool = True
    next_due: float | None = None
    scheduled_at: float = 0.0  # when somebody last said that something is due
    finished: set[str] = field(default_factory=set)  # streams whose head was finished

    @property
    def is_idle(self) -> bool:
        """Whether it can be given to another worker without a request being lost."""
        return not self.unsettled and not self.is_asking

    def room(self, now: float) -> int:
        """How many requests may begin. While there is live traffic, replays leave it half
        of what may be in flight."""
        if self.is_lost or self.is_doubtful or self.has_ended:
            return 0
        return self.endpoint.room(now)

    def has_moved_on(self) -> bool:
        """Whether what has begun must not be sent as it is: the webhook was disabled, ended
        or changed while it waited for a slot."""
        is_old = self.target and self.target.webhook_version < self.endpoint.version
        return bool(is_old) or self.has_ended or not self.endpoint.is_active

    def withdraw(self) -> None:
        """What began on the wire makes no request."""
        self.on_wire -= 1
        self.endpoint.withdraw()

    def settled(self) -> None:
        """What began is settled, or left."""
        self.unsettled -= 1
        self.endpoint.settled()

    def look(self, room: int) -> int:
        """How many rows to look at in order to begin `room` of them."""
        return max(room, LOOK_AHEAD) if self.is_ordered else room

    def has_work(self, now: float) -> bool:
        """Whether there may be something to do."""
        return self.has_new or bool(self.finished) or self.is_due(now)

    def is_due(self, now: float) -> bool:
        """Whether a retry's time has come."""
        return self.next_due is not None and self.next_due <= now


class Lanes:
    """The lanes of this worker. A lane stands in line when it may have something to do;
    one that waits, for a slot or for a time, does not, so idle lanes cost nothing."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._endpoints: dict[WebhookKey, Endpoint] = {}
        self._by_webhook: dict[UUID, list[Lane]] = {}
        self._line = Line()
        self._times: list[tuple[float, LaneKey]] = []
        OWNED.add(self)
        OPEN.add(self)

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[Lane]:
        return iter(list(self._lanes.values()))

    @property
    def open_circuits(self) -> int:
        """How many webhooks fail so often that they are only probed."""
        return sum(each.health.is_open for each in self._endpoints.values())

    def get(self, key: LaneKey) -> Lane | None:
        """The lane, if it is ours."""
        return self._lanes.get(key)

    def live(self, webhook: WebhookKey) -> Lane | None:
        """The live lane of a webhook, if it is ours."""
        return self._lanes.get(LaneKey(*webhook, 0))

    def of(self, webhook_id: UUID) -> list[Lane]:
        """The lanes of a webhook that are ours."""
        return list(self._by_webhook.get(webhook_id, ()))

    def endpoint(self, key: LaneKey) -> Endpoint:
        """The endpoint that the lane's requests go to: one for all lanes of a webhook."""
        webhook = WebhookKey(key.tenant_id, key.webhook_id)
        return self._endpoints.setdefault(webhook, Endpoint(webhook))

    def add(self, lane: Lane) -> None:
        """A lane was taken."""
        self._lanes[lane.key] = lane
        self._by_webhook.setdefault(lane.key.webhook_id, []).append(lane)
        self.line_up(lane)
        self.schedule(lane, lane.next_due)

    def remove(self, lane: Lane) -> None:
        """A lane is not ours any more; what is in flight settles as late or not at all."""
        lane.is_lost = True
        if self._lanes.pop(lane.key, None) is None:
            return
        self._line.remove(lane.key)
        siblings = self._by_webhook[lane.key.webhook_id]
        siblings.remove(lane)
        if not siblings:
            del self._by_webhook[lane.key.webhook_id]
            self._endpoints.pop(lane.endpoint.key, None)

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
            self._line.add(lane.key)

    def schedule(self, lane: Lane, due: float | None) -> None:
        """A retry is due then, or sooner ones already are."""
        if due is None:
            return
        lane.scheduled_at = time.monotonic()
        if lane.next_due is None or due <= lane.next_due:
            lane.next_due = due
            heapq.heappush(self._times, (due, lane.key))

    def next(self, most: int, *, slow: bool = True) -> list[Lane]:
        """The lanes at the head of the line that have room; they leave the line.

        Without `slow` those whose endpoints are slow keep their place.
        """
        now = time.monotonic()
        self._line_up_due(now)
        chosen: list[Lane] = []
        passed_over: list[LaneKey] = []
        while len(chosen) < most and (key := self._line.next()):
            lane = self._lanes.get(key)
            if lane is None or not lane.has_work(now):
                continue
            if not slow and lane.endpoint.is_slow(now):
                passed_over.append(key)
            elif self._room(lane, now) > 0 or lane.finished:
                chosen.append(lane)
            elif (at := lane.endpoint.room_at(now)) is not None:
                heapq.heappush(self._times, (at, key))
        for key in passed_over:
            self._line.add(key)
        return chosen

    def room(self, lane: Lane) -> int:
        """How many requests of this lane may begin now."""
        return self._room(lane, time.monotonic())

    def _room(self, lane: Lane, now: float) -> int:
        room = lane.room(now)
        if not room or not lane.key.replay:
            return room
        live = self._lanes.get(lane.key._replace(replay=0))
        if live is None or not live.has_work(now):
            return room
        # Live traffic keeps its share: half of what may be in flight, or every other one.
        replaying = sum(
            each.on_wire for each in self.of(lane.key.webhook_id) if each.key.replay
        )
        return min(room, max(0, max(1, lane.endpoint.most // 2) - replaying))

    def seconds_to_next(self, longest: float) -> float:
        """How long nothing more will be due; what is due already stands in line."""
        now = time.monotonic()
        self._line_up_due(now)
        if not self._times:
            return longest
        return min(longest, max(0.0, self._times[0][0] - now))

    def line_up_all_of(self, lane: Lane) -> None:
        """A slot of its endpoint is free: any of the webhook's lanes may use it."""
        for each in self._by_webhook.get(lane.key.webhook_id, ()):
            self.line_up(each)

    def _line_up_due(self, now: float) -> None:
        while self._times and self._times[0][0] <= now:
            _, key = heapq.heappop(self._times)
            if lane := self._lanes.get(key):
                self.line_up(lane)


OWNED: Watched[Lanes] = Watched(
    "daybook_lanes_owned",
    "Lanes that this process sends for.",
    lambda lanes: [((), len(lanes))],
)
OPEN: Watched[Lanes] = Watched(
    "daybook_open_circuits",
    "Webhooks of this process that are only probed, because they fail.",
    lambda lanes: [((), lanes.open_circuits)],
)
