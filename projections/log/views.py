"""What the API reads of a tenant's log, within a transaction of that tenant."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.log.entry import Entry
from projections import postgres, rows
from projections.log import ranges
from projections.log.ranges import Ranges
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.log", "views.sql")
EVERYTHING = ("*",)
# Beyond that many types one walk along the log is cheaper than a look-up for each.
MOST_TYPES = 100


class Event(NamedTuple):
    """An event as it is stored; `state` and `metadata` are JSON bytes."""

    event_id: str
    position: int
    type: str
    stream: str
    version: int
    source: str | None
    source_id: str | None
    subject: str | None
    state: bytes
    metadata: bytes | None
    actor: str | None
    correlation_id: str | None
    causation_id: str | None
    depth: int
    occurred_at: datetime
    recorded_at: datetime


class Recorded(NamedTuple):
    """An event's JSON, and where it is."""

    event_id: str
    position: int
    state: bytes


class DeliveryState(NamedTuple):
    """What became of an event at one webhook; `number` is the webhook's."""

    position: int
    number: int
    replay: int
    webhook_id: UUID
    state: str


class Selection(NamedTuple):
    """Which events; `after` and `before` are positions, both exclusive."""

    after: int
    before: int
    types: Sequence[str] = EVERYTHING
    streams: Sequence[str] = ()
    subject: str | None = None


async def is_posted(
    connection: Connection, tenant_id: UUID, projection: str, position: int
) -> bool:
    """Whether a projection has come as far as a position of the tenant's."""
    params = {"tenant_id": tenant_id, "projection": projection, "position": position}
    row = await postgres.one(connection, QUERIES["is_posted"], params)
    return bool(row.is_posted)


async def head(connection: Connection, tenant_id: UUID) -> int:
    """The last position of the tenant's log; 0 when it is empty."""
    found = await postgres.one(connection, QUERIES["head"], {"tenant_id": tenant_id})
    return int(found.head)


async def first_since(
    connection: Connection, tenant_id: UUID, moment: datetime, last: int
) -> int:
    """The first position recorded up to `last` at or after `moment`; else last + 1."""
    params = {"tenant_id": tenant_id, "moment": moment, "last": last}
    return int(
        (await postgres.one(connection, QUERIES["first_since"], params)).position
    )


async def position_as_of(
    connection: Connection, tenant_id: UUID, moment: datetime, last: int
) -> int:
    """The last position recorded up to `last` at or before `moment`; 0 when none was.

    What was appended together has one time, so a moment never cuts it in two.
    """
    params = {"tenant_id": tenant_id, "moment": moment, "last": last}
    found = await postgres.one(connection, QUERIES["position_as_of"], params)
    return int(found.position)


async def version_as_of(
    connection: Connection, tenant_id: UUID, stream: str, position: int
) -> int:
    """A stream's version when the log was at `position`; 0 before it began."""
    params = {"tenant_id": tenant_id, "stream": stream, "position": position}
    found = await postgres.one(connection, QUERIES["version_as_of"], params)
    return int(found.version)


async def types_within(
    connection: Connection, tenant_id: UUID, within: Ranges, limit: int
) -> list[str]:
    """The types of the tenant's events in the ranges, in order, at most `limit`."""
    params = {"tenant_id": tenant_id, "limit": limit} | within._asdict()
    cursor = await connection.execute(QUERIES["types_within"], params)
    return [row.type for row in await cursor.fetchall()]


async def event(connection: Connection, tenant_id: UUID, event_id: str) -> Event | None:
    """One event."""
    params = {"tenant_id": tenant_id, "event_id": event_id}
    found = await _events(connection, "event", params)
    return found[0] if found else None


async def deliveries(
    connection: Connection, tenant_id: UUID, position: int, limit: int
) -> list[DeliveryState]:
    """What became of the event at a position, the newest deliveries first."""
    params = {"tenant_id": tenant_id, "position": position, "limit": limit}
    query = QUERIES["deliveries_of_event"]
    return await rows.many(connection, DeliveryState, query, params)


async def events(
    connection: Connection,
    tenant_id: UUID,
    selection: Selection,
    *,
    limit: int,
    backwards: bool,
) -> list[Event]:
    """A page of events in the order walked. Bound it by `before`: the log grows."""
    found_at = await positions(
        connection, tenant_id, selection, limit=limit, backwards=backwards
    )
    params = {"tenant_id": tenant_id, "positions": found_at}
    found = await _events(connection, "events_at", params) if found_at else []
    return sorted(found, key=lambda event: event.position, reverse=backwards)


async def recorded(
    connection: Connection, tenant_id: UUID, event_type: str, after: int, limit: int
) -> list[Recorded]:
    """The next events of one type after a position."""
    params = {
        "tenant_id": tenant_id,
        "type": event_type,
        "after": after,
        "limit": limit,
    }
    return await rows.many(
        connection, Recorded, QUERIES["recorded"], params, binary=True
    )


async def positions(
    connection: Connection,
    tenant_id: UUID,
    selection: Selection,
    *,
    limit: int,
    backwards: bool,
) -> list[int]:
    """Where the selected events are, in the order walked."""
    types = ranges.of_types(selection.types)
    streams = ranges.of_streams(selection.streams) if selection.streams else None
    name, params = await _way(connection, tenant_id, selection, types)
    params |= types._asdict() | {
        "tenant_id": tenant_id,
        "after": selection.after,
        "before": selection.before,
        "stream_lows": streams and streams.lows,
        "stream_highs": streams and streams.highs,
        "subject": selection.subject,
        "limit": limit,
    }
    query = QUERIES[f"{name}_{'backwards' if backwards else 'forwards'}"]
    # The best plan depends on which filters are given: it must not be kept.
    cursor = await connection.execute(query, params, prepare=False)
    return [row.position for row in await cursor.fetchall()]


async def _way(
    connection: Connection, tenant_id: UUID, selection: Selection, types: Ranges
) -> tuple[str, dict[str, Any]]:
    """The statement that finds such events soonest, and what it alone wants to know."""
    if selection.streams and not any("*" in stream for stream in selection.streams):
        return "positions_of_streams", {"streams": sorted(set(selection.streams))}
    if "*" not in selection.types:
        seen = await types_within(connection, tenant_id, types, MOST_TYPES + 1)
        if len(seen) <= MOST_TYPES:
            return "positions_of_types", {"types": seen}
    return "positions", {}


async def _events(
    connection: Connection, name: str, params: dict[str, Any]
) -> list[Event]:
    return await rows.many(connection, Event, QUERIES[name], params, binary=True)


async def catalogue_head(connection: Connection, tenant_id: UUID) -> int:
    """Where the tenant's catalogue was changed last; 0 when it never was."""
    params = {"tenant_id": tenant_id}
    return int((await postgres.one(connection, QUERIES["catalogue_head"], params)).head)


async def known(
    connection: Connection, tenant_id: UUID, entries: Mapping[int, Entry]
) -> set[int]:
    """The numbers of those entries whose ids are in the log already."""
    given = list(entries.values())
    params = {
        "tenant_id": tenant_id,
        "numbers": list(entries),
        "event_ids": [entry.event_id for entry in given],
        "sources": [entry.source for entry in given],
        "source_ids": [entry.source_id for entry in given],
    }
    cursor = await connection.execute(QUERIES["known"], params)
    return {row.number for row in await cursor.fetchall()}


async def undeclared_types(
    connection: Connection, tenant_id: UUID, types: Collection[str]
) -> set[str]:
    """Which of these types nobody in the tenant has declared."""
    params = {"tenant_id": tenant_id, "types": list(types)}
    cursor = await connection.execute(QUERIES["undeclared_types"], params)
    return {row.type for row in await cursor.fetchall()}
