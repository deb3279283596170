"""Waiting for a wake-up, which may be lost: so never for longer than a poll."""

import asyncio
import contextlib


async def wake_up(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, at most so long; it is clear afterwards."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
