"""Running commands from routes: in a thread, for the domain blocks, and again on a race."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from api.authentication import Caller
from domain.errors import VersionConflict
from domain.log.entry import Context, Statement

T = TypeVar("T")

TRIES = 3


async def run(
    caller: Caller,
    command: Callable[[Context], object],
    *,
    riders: Sequence[Statement] = (),
    operator: bool = False,
) -> Context:
    """Run `command`; the context has the log's receipts. Raises DomainError."""

    async def attempt() -> Context:
        context = Context(
            caller.actor, riders=riders, operator=operator, claim=caller.claim
        )
        await asyncio.to_thread(command, context)
        return context

    return await repeated(attempt)


async def repeated(attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` returns when nobody is quicker. Raises VersionConflict in the end.

    A configuration is small and a conflict says only that it was read too early.
    """
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except VersionConflict:
            pass
    return await attempt()
