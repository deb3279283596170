"""Handlers for tests: each notes what it is called for, once if all is well.

Also a process that runs them: `python -m tests.support.handling URL`, to be killed.
"""

import asyncio
import sys

from projections.log.handlers import Event, Handler
from projections.postgres import Connection
from projections.runner import Runner

TABLE = """
    create table public.handled (
        handler text not null, position bigint not null, type text not null);
    grant select, insert on public.handled to daybook_worker;
    insert into daybook.checkpoints (name)
    values ('cranes'), ('everything'), ('picky')
"""
NOTE = "insert into public.handled values (%s, %s, %s)"


async def cranes(connection: Connection, event: Event) -> None:
    """Notes."""
    await connection.execute(NOTE, ("cranes", event.position, event.type))


async def everything(connection: Connection, event: Event) -> None:
    """Notes."""
    await connection.execute(NOTE, ("everything", event.position, event.type))


async def picky(connection: Connection, event: Event) -> None:
    """Notes, and then will not have what did not pass."""
    await connection.execute(NOTE, ("picky", event.position, event.type))
    if not event.data["passed"]:
        raise ValueError(f"{event.stream} has not passed")


HANDLERS = (
    Handler("cranes", ["crane.*"], cranes),
    Handler("everything", ["*"], everything),
    Handler("picky", ["crane.*"], picky),
)


async def run(url: str) -> None:
    """All of them, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for handler in HANDLERS:
            tasks.create_task(Runner(url, handler).run())


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
