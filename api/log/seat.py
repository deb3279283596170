"""One client that listens: what it gets next, when a ping is due, and why it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from litestar.types import Receive

from api.authentication import Proof
from domain.errors import Unavailable
from projections import waiting
from projections.log.following import Follower, Pack
from projections.log.live import Listener

T = TypeVar("T")

PING_SECONDS = 15.0
RETRY_SECONDS = 1.0
GONE = "gone"  # why a seat ends whose client has left


class Seat:
    """From the moment a client is let in until it has gone. `task` serves it."""

    __slots__ = (
        "_follower",
        "_is_ping_due",
        "_ping_at",
        "listener",
        "proof",
        "task",
    )

    def __init__(self, listener: Listener, proof: Proof, follower: Follower) -> None:
        self.listener, self.proof, self._follower = listener, proof, follower
        self.task = asyncio.current_task()
        self._ping_at = time.monotonic() + PING_SECONDS
        self._is_ping_due = False

    @property
    def at(self) -> int:
        """The last position that the client has, or does not want."""
        return self._follower.at

    @property
    def ended(self) -> str | None:
        """Why there will be nothing more, as a code; None: it goes on."""
        return self.listener.ended

    def end(self, code: str) -> None:
        """Have it leave, wherever it is."""
        self.listener.end(code)

    def tick(self, now: float) -> None:
        """Ring when a ping is due."""
        if now >= self._ping_at:
            self._ping_at = now + PING_SECONDS
            self._is_ping_due = True
            self.listener.bell.set()

    async def packs(self, pack: Pack[T]) -> AsyncIterator[T | None]:
        """Events, packed, as they come; None: a ping is due. Until it is ended."""
        while self.ended is None:
            if self._is_ping_due:
                self._is_ping_due = False
                yield None
            try:
                taken = await self._follower.take(pack)
            except Unavailable:
                # The client need not know: it gets its pings, and later its events.
                await waiting.wake_up(self.listener.bell, RETRY_SECONDS)
                continue
            if taken is not None:
                yield taken
            else:
                await self._wait()

    def attended(self, leaving: Coroutine[Any, Any, None]) -> "Attended":
        """While the client is served; `leaving` notices when it goes."""
        return Attended(self, leaving)

    async def _wait(self) -> None:
        """Until there may be something to do; at once when there is."""
        if not (self.ended or self._is_ping_due or self._follower.is_behind):
            await self.listener.bell.wait()
        self.listener.bell.clear()


class Attended:
    """The time in which a seat's client is served.

    Whoever was told to end and is still in here, as its client does not read, is cancelled
    (`Audience`): that ends the serving and nothing else.
    """

    def __init__(self, seat: Seat, leaving: Coroutine[Any, Any, None]) -> None:
        self._seat = seat
        self._notices = asyncio.create_task(leaving)

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(self, kind: type[BaseException] | None, *about: object) -> bool:
        """Notice nothing more; true when all there is to say of the error is that."""
        self._notices.cancel()
        task = self._seat.task
        is_told = kind is asyncio.CancelledError and self._seat.ended is not None
        if is_told and task is not None:
            task.uncancel()
        return is_told


async def http_leaving(seat: Seat, receive: Receive) -> None:
    """End the seat when the client of its request goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    seat.end(GONE)
