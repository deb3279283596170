"""Handlers for tests: each notes what it is called for, once if all is well.

They are a context too, for workers; `KILLED_AT` names the position after whose call the
process of `cranes` kills itself.
"""

import os
import signal

from projections.context import BoundedContext
from projections.log.handlers import Event, Handler
from projections.postgres import Connection

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
    if os.environ.get("KILLED_AT") == str(event.position):
        os.kill(os.getpid(), signal.SIGKILL)


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
CONTEXT = BoundedContext(name="handling", projections=HANDLERS)
