"""Who listens in this process: how many of a tenant, and whether they still may.

One task looks after all of them, twice a second: a thousand timers would be a thousand
reasons to wake up. It asks for each key once, however many listen with it, so a key that
has ended or a tenant that is suspended is noticed within about a second.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import structlog

from api.authentication import Authenticator, Caller, Proof
from api.errors import Busy, LogRewound, ScopeMissing, TenantSuspended
from api.log.seat import Seat
from domain.errors import DomainError, NotFound, Unavailable
from projections.log.following import Follower, Wanted
from projections.log.live import Tail
from projections.telemetry import Watched

MOST = 1000  # of a tenant, in this process
TICK_SECONDS = 0.5
CHECK_TICKS = 2  # every so many of them keys are asked for
SCOPE = "events:read"
STOPPING = "stopping"  # why seats end that is nobody's fault

log = structlog.get_logger("daybook.streams")


class Audience:
    """All who listen in this process; one for each."""

    def __init__(self, tail: Tail, authenticator: Authenticator) -> None:
        self._tail, self._authenticator = tail, authenticator
        self._seats: set[Seat] = set()
        self._taken: Counter[UUID] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        _LISTENERS.add(self)

    @property
    def size(self) -> int:
        """How many listen."""
        return len(self._seats)

    @asynccontextmanager
    async def seat(
        self,
        caller: Caller,
        wanted: Wanted,
        after: int | None,
        stopping: asyncio.Event | None,
    ) -> AsyncIterator[Seat]:
        """A seat from `after` on, or from now. Raises Busy, LogRewound, Unavailable.

        `stopping` is set when the server is about to end: all have to leave then.
        """
        tenant_id = caller.tenant_id
        if self._taken[tenant_id] >= MOST:
            raise Busy(f"a tenant has at most {MOST:,} listeners at once")
        self._taken[tenant_id] += 1
        try:
            seat = await self._let_in(caller, wanted, after)
            self._look_after_all(stopping)
            if stopping is not None and stopping.is_set():
                seat.end(STOPPING)  # it came on a connection that was open already
            try:
                yield seat
            finally:
                self._seats.discard(seat)
                self._tail.leave(seat.listener)
        finally:
            self._taken[tenant_id] -= 1
            if not self._taken[tenant_id]:
                del self._taken[tenant_id]

    async def close(self) -> None:
        """Look after nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _let_in(self, caller: Caller, wanted: Wanted, after: int | None) -> Seat:
        listener, head = await self._tail.join(caller.tenant_id)
        if after is not None and after > head:
            self._tail.leave(listener)
            raise LogRewound(f"the log ends at position {head}")
        at = head if after is None else after
        follower = Follower(self._tail, listener, wanted, at)
        seat = Seat(listener, caller.proof, follower)
        self._seats.add(seat)
        return seat

    def _look_after_all(self, stopping: asyncio.Event | None) -> None:
        if self._tasks:
            return
        self._spawn(self._tick())
        if stopping is not None:
            self._spawn(self._stop(stopping))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name="audience"))

    async def _stop(self, stopping: asyncio.Event) -> None:
        """The server waits for its requests to end; these would not by themselves."""
        await stopping.wait()
        for seat in self._seats:
            seat.end(STOPPING)

    async def _tick(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            count += 1
            self._hurry()
            try:
                if count % CHECK_TICKS == 0:
                    await self._check()
            except Exception:
                # Whatever it is: pings go on, and keys are asked for again.
                log.exception("keys_not_checked")

    def _hurry(self) -> None:
        now = time.monotonic()
        for seat in self._seats:
            if seat.ended is None:
                seat.tick(now)
            elif seat.task is not None:
                # It was told a while ago, and still waits for its client to read.
                seat.task.cancel()

    async def _check(self) -> None:
        """End those whose key has ended, or may not listen any more."""
        for proof in {seat.proof for seat in self._seats}:
            if code := await self._refusal(proof):
                for seat in self._seats:
                    if seat.proof == proof:
                        seat.end(code)

    async def _refusal(self, proof: Proof) -> str | None:
        try:
            caller = await self._authenticator.again(proof)
        except Unavailable:
            return None  # nobody knows: they stay until somebody does
        except DomainError as error:
            return error.code
        if caller.tenant is None:  # it has ended; a platform key stays without it
            return NotFound.code
        if caller.is_suspended:
            return TenantSuspended.code
        return None if SCOPE in caller.scopes else ScopeMissing.code


_LISTENERS: Watched[Audience] = Watched(
    "daybook_listeners",
    "Clients that follow events as they come.",
    lambda audience: [((), audience.size)],
)
