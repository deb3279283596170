"""Streams: list them, read one with its events; now, or as they were."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from litestar import get

from api import answers, consistency, filters, shapes
from api.answers import Answer
from api.errors import LogRewound
from api.log import listing, schemas
from api.log.schemas import (
    StreamEventPage,
    StreamEventQuery,
    StreamPage,
    StreamQuery,
)
from api.operation import operation
from api.pagination import Paging
from api.request import ApiRequest
from domain import grammar, patterns
from domain.errors import Fault, Invalid, NotFound
from domain.model import PLATFORM
from projections.log import stream_views, views
from projections.log.stream_views import Names, Stream
from projections.postgres import Connection

PATH = "/api/v1/streams"
# Characters before and after all that names are made of, and the one after our own sign.
_BELOW, _ABOVE = "!", "\x7f"
_FIRST = chr(ord(PLATFORM) + 1)


@get(
    PATH,
    **operation(
        "List streams",
        scopes=["events:read"],
        query=StreamQuery,
        answers={200: StreamPage},
    ),
)
async def list_streams(request: ApiRequest) -> Answer:
    """By name. A new event shows within a second; with `as_of` or `at_least` at once."""
    query = request.parameters(StreamQuery)
    place = None if query.as_of is None else filters.place(query.as_of)
    prefix = _checked(query.prefix or "")
    paging = request.paging(query)
    tenant_id = request.caller.tenant_id
    await consistency.follow(request, "streams", query.at_least)
    async with request.services.database.tenant(tenant_id) as connection:
        names = _names(prefix, paging)
        found = paging.page(
            await _streams(connection, tenant_id, names, place, paging),
            lambda row: [row.stream],
        )
    data = [
        schemas.Stream(r.stream, r.version, r.position, shapes.time(r.updated_at))
        for r in found.rows
    ]
    return answers.json(StreamPage(data, found.next, found.prev))


@get(
    f"{PATH}/{{stream:path}}",
    **operation(
        "Read a stream",
        scopes=["events:read"],
        query=StreamEventQuery,
        answers={200: StreamEventPage},
    ),
)
async def get_stream(request: ApiRequest) -> Answer:
    """Its events, oldest first. Slashes in its name stay as they are, or come as `%2F`."""
    query = request.parameters(StreamEventQuery)
    place = None if query.as_of is None else filters.place(query.as_of)
    # Not Litestar's parameter: that is a file's path, which it tidies up.
    stream = request.scope["path"].removeprefix(f"{PATH}/")
    if grammar.check_stream(stream.removeprefix(PLATFORM)):
        raise NotFound
    paging = request.paging(query)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        return answers.json(await _page(connection, tenant_id, stream, place, paging))


async def _streams(
    connection: Connection,
    tenant_id: UUID,
    names: Names,
    place: int | datetime | None,
    paging: Paging,
) -> Sequence[Stream]:
    """Streams from the seam on, nearest first."""
    limit, backwards = paging.fetch, paging.backwards
    if place is None:
        return await stream_views.streams(
            connection, tenant_id, names, limit=limit, backwards=backwards
        )
    head = await views.head(connection, tenant_id)
    position = await filters.as_of(connection, tenant_id, place, head)
    return await stream_views.streams_as_of(
        connection, tenant_id, names, position, limit=limit, backwards=backwards
    )


async def _page(
    connection: Connection,
    tenant_id: UUID,
    stream: str,
    place: int | datetime | None,
    paging: Paging,
) -> StreamEventPage:
    log = await stream_views.log(connection, tenant_id)
    paging.of_log(log.incarnation)
    head = await filters.as_of(connection, tenant_id, place, log.head)
    version = await views.version_as_of(connection, tenant_id, stream, head)
    if not version:
        raise NotFound
    key = int(paging.key[0]) if paging.key else None
    if key is not None and key > version:
        raise LogRewound(f"the stream ends at version {version}")
    rows = await stream_views.events(
        connection,
        tenant_id,
        stream,
        after=0 if key is None or paging.backwards else key,
        before=key if key is not None and paging.backwards else version + 1,
        limit=paging.fetch,
        backwards=paging.backwards,
    )
    found = paging.page(rows, lambda event: [event.version])
    return StreamEventPage(
        data=[schemas.Event(**listing.shown(event)) for event in found.rows],
        next=found.next,
        prev=found.prev,
        position=head if found.next is None else found.rows[-1].position,
        stream=stream,
        version=version,
    )


def _checked(prefix: str) -> str:
    """The prefix, when names can begin so. Raises Invalid."""
    if not patterns.STREAM_PREFIX.holds(prefix.removeprefix(PLATFORM)):
        detail = f"no stream begins so: {grammar.STREAM.detail}"
        raise Invalid([Fault("prefix", "invalid", detail, parameter=True)])
    return prefix


def _names(prefix: str, paging: Paging) -> Names:
    """The names beyond the seam. Daybook's own streams must be asked for by their sign."""
    low, high = prefix or _FIRST, prefix + _ABOVE
    if paging.key is None:
        return Names(low, high)
    key = str(paging.key[0])
    if paging.backwards:
        return Names(low, min(high, key))
    return Names(max(low, key + _BELOW), high)


HANDLERS = (list_streams, get_stream)
