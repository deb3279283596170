"""Pages of events: from filters to positions, from rows to what is shown."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from api import filters, shapes
from api.errors import LogRewound
from api.log import schemas
from api.log.schemas import EventPage, EventQuery
from api.pagination import Paging
from domain.log import entry
from projections.log import stream_views, views
from projections.log.views import Event, Selection
from projections.postgres import Connection

_NO_METADATA = b"{}"
_ENCODER = msgspec.json.Encoder()


async def page(
    connection: Connection, tenant_id: UUID, query: EventQuery, paging: Paging
) -> EventPage:
    """A page of the log as it is, or was, with the position it was read up to."""
    place = None if query.as_of is None else filters.place(query.as_of)
    log = await stream_views.log(connection, tenant_id)
    paging.of_log(log.incarnation)
    key = paging.key[0] if paging.key else None
    after = query.after or 0
    if max(after, key or 0) > log.head:
        raise LogRewound(f"the log ends at position {log.head}")
    # As of then: as if the log ended there.
    head = await filters.as_of(connection, tenant_id, place, log.head)
    selection = await _selection(connection, tenant_id, query, head)
    is_rising = (query.order == "asc") != paging.backwards
    found = paging.page(
        await views.events(
            connection,
            tenant_id,
            _beyond(selection, key, is_rising=is_rising),
            limit=paging.fetch,
            backwards=not is_rising,
        ),
        lambda event: [event.position],
    )
    newer = found.next if query.order == "asc" else found.prev
    if newer is None:
        position = max(after, min(head, selection.before - 1))
    else:  # newer ones wait on another page
        position = max(event.position for event in found.rows)
    return EventPage(
        [schemas.Event(**shown(event)) for event in found.rows],
        found.next,
        found.prev,
        position,
    )


def rendered(event: Event) -> bytes:
    """An event as JSON, as it is shown everywhere."""
    return _ENCODER.encode(schemas.Event(**shown(event)))


def shown(event: Event) -> dict[str, Any]:
    """An event's public shape; the stored bytes of its JSON are passed on as they are."""
    return {
        "id": event.event_id,
        "position": event.position,
        "type": event.type,
        "stream": event.stream,
        "version": event.version,
        "source": event.source or entry.DEFAULT_SOURCE,
        "source_id": event.source_id,
        "subject": event.subject,
        "data": Raw(event.state),
        "metadata": Raw(event.metadata or _NO_METADATA),
        "occurred_at": shapes.time(event.occurred_at),
        "recorded_at": shapes.time(event.recorded_at),
        "actor": shapes.actor(event.actor),
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "depth": event.depth,
    }


async def _selection(
    connection: Connection, tenant_id: UUID, query: EventQuery, head: int
) -> Selection:
    # Times become positions once, here; what the log grows by meanwhile is left out.
    first, last = await filters.span(
        connection, tenant_id, head, since=query.since, until=query.until
    )
    return Selection(
        after=max(query.after or 0, first - 1),
        before=last + 1 if query.before is None else min(query.before, last + 1),
        types=query.type or views.EVERYTHING,
        streams=query.stream or (),
        subject=query.subject,
    )


def _beyond(selection: Selection, key: int | None, *, is_rising: bool) -> Selection:
    """What of the selection lies beyond the seam, in the direction of reading."""
    if key is None:
        return selection
    if is_rising:
        return selection._replace(after=max(selection.after, key))
    return selection._replace(before=min(selection.before, key))
