"""Attempts, many side by side: compose each request, send it, hand over what came of it.

No more than so many have a slot at one time. Where they end quickly a few more are begun,
and each takes the next slot that becomes free: so a worker does not wait for the database
while its slots are empty, and asks it for more at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import structlog

from domain import clock
from domain.webhooks import retry
from projections import waiting
from projections.failpoint import failpoint
from projections.telemetry import Watched
from projections.tracing import Attempt
from projections.vault import Vault, VaultError
from projections.webhooks.lanes import Due
from workers.webhooks import message, verdict
from workers.webhooks.keeper import Keeper
from workers.webhooks.lane import Lane
from workers.webhooks.message import Target
from workers.webhooks.pace import Pace
from workers.webhooks.sender import Outgoing, Sender
from workers.webhooks.settling import Settler
from workers.webhooks.verdict import Attempted, Done

log = structlog.get_logger("daybook.deliveries")

# What was begun ahead of its slot and has none after so long is put back: what it would be
# sent with might not be true any more.
PATIENCE_SECONDS = 0.1


class Begun(NamedTuple):
    """An attempt that was written down; `ahead`: when, if there was no slot for it."""

    lane: Lane
    due: Due
    ahead: float | None

    def is_late(self) -> bool:
        """Whether it is not to be made now after all."""
        if self.lane.has_moved_on():
            return True
        waited = 0.0 if self.ahead is None else time.monotonic() - self.ahead
        return waited > PATIENCE_SECONDS


class Courier:
    """Carries requests for one worker process."""

    def __init__(
        self,
        keeper: Keeper,
        settler: Settler,
        sender: Sender,
        vault: Vault,
        *,
        slots: int,
        wake: Callable[[], None],
    ) -> None:
        """`wake` is called when something is to be put back."""
        self._keeper = keeper
        self._settler = settler
        self._sender = sender
        self._vault = vault
        self.slots, self._wake = slots, wake
        self._tasks: set[asyncio.Task[None]] = set()
        self._carriers = 0  # of the tasks, those that will look for another attempt
        self._ready: deque[Begun] = deque()  # without a slot yet
        self._late: list[Begun] = []
        self._busy = 0
        self._pace = Pace()
        self._calm, self._calm_at = asyncio.Event(), 0
        IN_FLIGHT.add(self)

    @property
    def in_flight(self) -> int:
        """How many attempts have a slot."""
        return self._busy

    @property
    def free(self) -> int:
        """How many slots nobody has, nor will have at once; below zero: some wait."""
        return self.slots - self._busy - len(self._ready)

    @property
    def ahead(self) -> int:
        """How many may be begun besides: they find a slot within a moment."""
        return self._pace.ahead(time.monotonic())

    async def calm(self, begun: int, seconds: float) -> None:
        """Until fewer than so many are begun and not ended; at most for so long."""
        if self.slots - self.free >= begun:
            self._calm.clear()
            self._calm_at = begun
            await waiting.wake_up(self._calm, seconds)

    def start(self, lane: Lane, due: Due) -> None:
        """Make this attempt; it was written down that it begins."""
        lane.unsettled += 1
        lane.on_wire += 1
        lane.endpoint.begin(time.monotonic())
        self._ready.append(
            Begun(lane, due, None if self.free > 0 else time.monotonic())
        )
        if self._carriers < self.slots:
            self._carriers += 1
            task = asyncio.create_task(self._carry())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def take_late(self) -> list[Begun]:
        """What was begun and is not made: the caller puts it back."""
        late, self._late = self._late, []
        return late

    async def drain(self, seconds: float) -> None:
        """Wait for what is in flight; what is not answered by then is cut off."""
        self._late += [begun for begun in self._ready if begun.ahead is not None]
        self._ready = deque(begun for begun in self._ready if begun.ahead is None)
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()

    async def _carry(self) -> None:
        """One attempt after another in one slot, while any waits for it."""
        try:
            while self._ready:
                begun = self._ready.popleft()
                if begun.is_late() and not begun.lane.is_lost:
                    self._late.append(begun)
                    self._wake()
                else:
                    await self._carry_one(begun)
        finally:  # in the turn in which nothing was ready: who comes next makes a task
            self._carriers -= 1

    async def _carry_one(self, begun: Begun) -> None:
        self._busy += 1
        try:
            await self._deliver(begun.lane, begun.due)
        except Exception as error:
            log.error("delivery_defect", exc_info=error)
        finally:
            self._busy -= 1
        self._pace.note(time.monotonic())
        if self.slots - self.free < self._calm_at:
            self._calm.set()

    async def _deliver(self, lane: Lane, due: Due) -> None:
        if verdict.is_over(lane, due):
            lane.withdraw()
            self._settler.add(Done(lane, due, clock.now()))
            return
        target = _target(lane)
        attempt = Attempt(message.cause(target, due))
        request = self._compose(lane, target, due, attempt)
        if request is None or not await self._may_send(lane):
            self._settler.leave(lane)  # whoever has the lane next finds it
            return
        await self._send(lane, due, request, attempt)

    def _compose(
        self, lane: Lane, target: Target, due: Due, attempt: Attempt
    ) -> Outgoing | None:
        """The request; None when there can be none here. The row stays as begun."""
        webhook = str(lane.key.webhook_id)
        try:
            return message.compose(target, due, self._vault, attempt)
        except VaultError:
            # Without its secret nothing may leave, so nothing more begins here; with the
            # right key, a restart goes on.
            log.exception("secret_unavailable", webhook=webhook)
            lane.endpoint.is_active = False
        except Exception:
            # Ours, and about this one event: it must not take a slot of the others. Each
            # restart tries once more, until its attempts are used up.
            log.exception("delivery_defect", webhook=webhook, position=due.position)
        return None

    async def _send(
        self, lane: Lane, due: Due, request: Outgoing, attempt: Attempt
    ) -> None:
        begun = clock.now()
        lane.endpoint.send(time.monotonic())
        answer = await self._sender.send(request)
        failpoint("lanes.answered")
        attempt.end(answer.status_code, answer.error, webhook=lane.key.webhook_id)
        seconds = retry.parse_retry_after(answer.retry_after, clock.now())
        lane.on_wire -= 1
        lane.endpoint.answered(answer, due.webhook_version, seconds)
        version = lane.target.keys[0].version if lane.target else None
        attempted = Attempted(request, answer, seconds, version)
        self._settler.add(Done(lane, due, begun, attempted))

    async def _may_send(self, lane: Lane) -> bool:
        """Wait out a doubt about the lease; false when the lane was lost over it."""
        while not self._keeper.may_begin():
            if lane.is_lost:
                return False
            await asyncio.sleep(0.1)
        return not lane.is_lost


def _target(lane: Lane) -> Target:
    if lane.target is None:
        raise RuntimeError("an attempt began before its target was read")
    return lane.target


IN_FLIGHT: Watched[Courier] = Watched(
    "daybook_attempts_in_flight",
    "Attempts under way.",
    lambda courier: [((), courier.in_flight)],
)
