"""Waiting for what another process or thread does: by looking, never for a fixed time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

TICK = 0.005


def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `holds` returns once it is true; fails when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {holds}"
        time.sleep(TICK)
    return found


async def soon(holds: Callable[[], Any | Awaitable[Any]], seconds: float = 10.0) -> Any:
    """The same on an event loop; `holds` may be a coroutine function."""
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(TICK)


def waiting_for_the_log(admin: psycopg.Connection) -> list[int]:
    """The backends that wait for an advisory lock of this database."""
    return _backends(admin, granted=False)


def holding_the_log(admin: psycopg.Connection) -> list[int]:
    """Those that have one."""
    return _backends(admin, granted=True)


def _backends(admin: psycopg.Connection, *, granted: bool) -> list[int]:
    rows = admin.execute(
        "select pid from pg_locks where locktype = 'advisory' and granted = %s"
        " and database = (select oid from pg_database where datname = current_database())",
        [granted],
    )
    return [pid for (pid,) in rows.fetchall()]
