"""Small questions to the database, asked together.

What comes while one call is on its way goes with the next. Alone nobody waits; many share
a call, and one connection is enough.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")

MOST = 500  # questions in one call


class Together(Generic[Asked, Told]):
    """Asks `call` for the answers to many at once, in their order."""

    def __init__(
        self, call: Callable[[list[Asked]], Awaitable[Sequence[Told]]]
    ) -> None:
        self._call = call
        self._waiting: list[tuple[Asked, asyncio.Future[Told]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, question: Asked) -> Told:
        """The answer; raises whatever the call raises, for all that went with it."""
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                told = await self._call([question for question, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in zip(batch, told, strict=True):
                    if not future.done():
                        future.set_result(answer)
