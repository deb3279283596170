"""One client that listens: what it gets next, when a ping is due, and why it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from api.authentication import Proof
from domain.errors import Unavailable
from projections import waiting
from projections.log.following import Follower, Pack
from projections.log.live import Listener

T = TypeVar("T")

PING_SECONDS = 15.0
RETRY_SECONDS = 1.0


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

    @asynccontextmanager
    async def attended(self, leaving: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """While the client is served; `leaving` notices when it goes.

        Whoever was told to end and is still in here, as its client does not read, is
        cancelled (`Audience`); that ends the serving and nothing else.
        """
        notices = asyncio.create_task(leaving)
        try:
            yield
        except asyncio.CancelledError:
            if self.ended is None or self.task is None:
                raise
            self.task.uncancel()
        finally:
            notices.cancel()

    async def _wait(self) -> None:
        """Until there may be something to do; at once when there is."""
        if not (self.ended or self._is_ping_due or self._follower.is_behind):
            await self.listener.bell.wait()
        self.listener.bell.clear()
