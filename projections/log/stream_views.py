"""What the API reads of a tenant's streams, as they are and as they were."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from projections import rows
from projections.log.views import Event
from projections.postgres import Connection, one
from projections.sql import Queries

QUERIES = Queries("projections.log", "stream_views.sql")


class Log(NamedTuple):
    """Where a tenant's log ends, and which log it is: a restore makes it another."""

    head: int
    incarnation: str


class Stream(NamedTuple):
    """A stream; `position` and `updated_at` are its last event's."""

    stream: str
    version: int
    position: int
    updated_at: datetime


class Names(NamedTuple):
    """Which streams: `low` <= name < `high`, in the order of bytes."""

    low: str
    high: str


async def log(connection: Connection, tenant_id: UUID) -> Log:
    """The tenant's log now."""
    return Log(*await one(connection, QUERIES["log"], {"tenant_id": tenant_id}))


async def streams(
    connection: Connection,
    tenant_id: UUID,
    names: Names,
    *,
    limit: int,
    backwards: bool,
) -> list[Stream]:
    """A page of streams by name, nearest first; follows the log within a second."""
    params = {"tenant_id": tenant_id, "limit": limit} | names._asdict()
    query = QUERIES[f"streams_{'backwards' if backwards else 'forwards'}"]
    return await rows.many(connection, Stream, query, params)


async def streams_as_of(
    connection: Connection,
    tenant_id: UUID,
    names: Names,
    position: int,
    *,
    limit: int,
    backwards: bool,
) -> list[Stream]:
    """The same when the log was at `position`; none is missing, however new."""
    params = {"tenant_id": tenant_id, "position": position, "limit": limit}
    query = QUERIES[f"names_as_of_{'backwards' if backwards else 'forwards'}"]
    # What is left to read of the log decides the best plan: it must not be kept.
    cursor = await connection.execute(query, params | names._asdict(), prepare=False)
    wanted = [row.stream for row in await cursor.fetchall()]
    params = {"tenant_id": tenant_id, "position": position, "streams": wanted}
    found = await rows.many(connection, Stream, QUERIES["heads_as_of"], params)
    return sorted(found, key=lambda row: row.stream, reverse=backwards)


async def events(
    connection: Connection,
    tenant_id: UUID,
    stream: str,
    *,
    after: int,
    before: int,
    limit: int,
    backwards: bool,
) -> list[Event]:
    """A page of a stream's events between two versions, nearest first."""
    params = {
        "tenant_id": tenant_id,
        "stream": stream,
        "after": after,
        "before": before,
        "limit": limit,
    }
    query = QUERIES[f"stream_events_{'backwards' if backwards else 'forwards'}"]
    return await rows.many(connection, Event, query, params, binary=True)
