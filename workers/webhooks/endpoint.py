"""One webhook as its owner treats it: how many requests may be made to it now, and why.

All lanes of a webhook have one owner, so its limits are those of this one object. What must
outlive the process (the count of failures, the open circuit) is noted in the live lane.
"""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from domain.webhooks import retry
from domain.webhooks.circuit import Circuit, Failing
from domain.webhooks.pace import Rate, Throttle
from domain.webhooks.retry import Policy
from domain.webhooks.settings import DisableAfter
from workers.webhooks.sender import Answer

# An endpoint is slow when it takes longer than this; slow ones share a part of the slots,
# so that the others always find one.
SLOW_SECONDS = 1.0
# Attempts that were answered and not yet settled: sent again if the worker is lost now.
MOST_UNSETTLED = 100
_SMOOTHING = 0.2  # of the mean duration: the last five or so count


class WebhookKey(NamedTuple):
    """Which webhook."""

    tenant_id: UUID
    webhook_id: UUID


class Health(NamedTuple):
    """What the live lane knows of the endpoint."""

    failures: int
    is_open: bool


_DURABLE, _LIMIT, _WELL = retry.policy(retry.DEFAULT), DisableAfter(), Failing()
_HEALTHY = Health(0, is_open=False)


@dataclass(slots=True, eq=False)
class Endpoint:
    """A webhook's limits and its state. Times are of the monotonic clock.

    `reserved`: rows that were asked for and may yet come; `unsent`: of those that came,
    requests that have not left; `on_wire`: these and those that were not answered yet;
    `unsettled`: all that were begun and not yet settled.
    """

    key: WebhookKey
    is_active: bool = True
    is_leaving: bool = False  # to another worker: nothing begins
    version: int = 0
    enabled_version: int = 0
    most: int = 10
    policy: Policy = _DURABLE
    keep_response: bool = False
    limit: DisableAfter = _LIMIT
    per_second: float | None = None
    circuit: Circuit = field(default_factory=Circuit)
    throttle: Throttle = field(default_factory=lambda: Throttle(10))
    rate: Rate | None = None
    failing: Failing = _WELL
    noted: Health = _HEALTHY
    is_disabling: bool = False
    reserved: int = 0
    unsent: int = 0
    on_wire: int = 0
    unsettled: int = 0
    mean_seconds: float = 0.0
    heard_at: float = 0.0

    def learn(self, row: Any) -> None:
        """What the database says of the webhook; `row` is one of `lane_states`."""
        now = time.monotonic()
        first = not self.enabled_version
        if row.enabled_version != self.enabled_version:
            self._begin_anew(row, now)
        self.is_active, self.version = row.state == "active", row.version
        self.limit = DisableAfter(
            failures=row.disable_failures, over_seconds=row.disable_over_seconds
        )
        if self.most != row.max_in_flight:
            self.most = row.max_in_flight
            self.throttle.limit(self.most)
        if self.per_second != row.rate_per_second:
            self.per_second = row.rate_per_second
            self.rate = Rate(self.per_second) if self.per_second else None
            if first and self.rate:
                self.rate.hold(now)  # the former owner may have used it up just now

    def _begin_anew(self, row: Any, now: float) -> None:
        """Taken: count from what the lane knows. Enabled while it is ours: from nothing,
        whatever it says, for a note of ours may have come after the enabling's."""
        self.circuit, self.failing = Circuit(), Failing()
        if not self.enabled_version:
            self.circuit = Circuit(is_open=row.is_open, now=now)
            since = None if row.failing_for is None else now - row.failing_for
            self.failing = Failing(row.failures, since)
        self.enabled_version = row.enabled_version
        self.noted = Health(row.failures, row.is_open)
        self.is_disabling = False

    def room(self, now: float) -> int:
        """How many requests may begin."""
        if not self.is_active or self.is_leaving:
            return 0
        busy = self.on_wire + self.reserved
        room = min(
            self.most - busy,
            # What is answered and not yet settled is bounded too, or a slow database
            # would let it pile up.
            self.most + MOST_UNSETTLED - self.unsettled - self.reserved,
            self.throttle.room(now, busy),
        )
        if (probes := self.circuit.room(now, busy)) is not None:
            room = min(room, probes)
        if self.rate is not None:
            room = min(room, self.rate.room(now) - self.reserved - self.unsent)
        return max(0, room)

    def room_at(self, now: float) -> float | None:
        """When there may be room, if only time stands against it; None: it does not."""
        if not self.is_active:
            return None
        times = [self.throttle.paused_until, self.circuit.probe_at() or 0.0]
        if self.rate is not None and not self.rate.room(now):
            times.append(self.rate.room_at())
        latest = max(times)
        return latest if latest > now else None

    def is_slow(self, now: float) -> bool:
        """Whether it keeps its slots for long."""
        if not self.on_wire:
            return False
        return self.mean_seconds > SLOW_SECONDS or now - self.heard_at > SLOW_SECONDS

    def begin(self, now: float) -> None:
        """A request is about to begin."""
        if not self.on_wire:
            self.heard_at = now
        self.on_wire += 1
        self.unsettled += 1
        self.unsent += 1

    def send(self, now: float) -> None:
        """The request leaves: the rate counts from this moment, not from when the row was
        read, or two might leave closer together than they were read."""
        self.unsent -= 1
        if self.rate is not None:
            self.rate.begin(now)

    def withdraw(self) -> None:
        """The request was not made after all."""
        self.unsent -= 1
        self.on_wire -= 1

    def answered(
        self, answer: Answer, begun_version: int, retry_after: float | None
    ) -> None:
        """The request has ended; `begun_version` is the webhook's when it began."""
        now = time.monotonic()
        self.on_wire -= 1
        self.heard_at = now
        seconds = answer.duration_ms / 1000
        self.mean_seconds += _SMOOTHING * (seconds - self.mean_seconds)
        if answer.error == "gone":
            self.is_active = False  # its slot is free: nothing more may use it
        if begun_version < self.enabled_version:
            return  # it began before the webhook was enabled: it says nothing of now
        if answer.error is None:
            self.circuit.succeeded()
            self.throttle.succeeded()
            self.failing = Failing()
        else:
            self.circuit.failed(now, answer.status_code)
            self.throttle.failed(now, answer.status_code, retry_after)
            self.failing = self.failing.failed(now)

    def settled(self) -> None:
        """What came of an attempt is written."""
        self.unsettled -= 1

    @property
    def health(self) -> Health:
        """What the live lane should know."""
        return Health(self.failing.failures, self.circuit.is_open)

    def is_given_up(self) -> bool:
        """Whether the webhook is to be disabled for its failures."""
        return (
            self.is_active
            and not self.is_disabling
            and self.failing.disables(self.limit, time.monotonic())
        )
