"""Consumers: make, read, change, delete; read their events, acknowledge, move them."""

from typing import Any

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath

from api import answers, commands, idempotency, places, reading
from api.answers import Answer
from api.consumers import events, shown
from api.consumers.schemas import (
    Acknowledge,
    Consumer,
    ConsumerEventsQuery,
    ConsumerPage,
    PutConsumer,
    Seek,
)
from api.log.schemas import EventPage
from api.operation import operation
from api.pagination import PageQuery
from api.places import Place
from api.request import ApiRequest
from domain.consumers import commands as consumer_commands
from domain.consumers import consumer
from domain.consumers.consumer import Settings
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context
from projections.consumers import views
from projections.log import views as log_views

PATH = "/api/v1/consumers"
ONE = f"{PATH}/{{name:str}}"
READ, WRITE = ["events:read"], ["consumers:write"]


@put(
    ONE,
    **operation(
        "Make a consumer, or change one",
        scopes=WRITE,
        body=PutConsumer,
        answers={201: Consumer, 200: Consumer},
    ),
)
async def put_consumer(request: ApiRequest, name: FromPath[str]) -> Answer:
    """What is left out goes back to its default; `start` is for a new one only."""
    if not consumer.NAME.holds(name):
        raise Invalid([Fault("name", "invalid", consumer.NAME.detail, parameter=True)])
    raw = await request.checked()
    settings, named = _read(raw, await _found(request, name))
    start = None if named is None else await _place(request, named, "#/start")
    log, tenant_id = request.services.log, request.caller.tenant_id
    began = False

    def put_one(context: Context) -> None:
        nonlocal began
        began = consumer_commands.put(log, context, tenant_id, name, settings, start)

    context = await commands.run(request.caller, put_one)
    return await _answer(request, name, context, status=201 if began else 200)


@get(
    PATH,
    **operation(
        "List consumers", scopes=READ, query=PageQuery, answers={200: ConsumerPage}
    ),
)
async def list_consumers(request: ApiRequest) -> Answer:
    """Oldest first."""
    paging = request.paging(request.parameters(PageQuery))
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await views.consumers(
            connection,
            tenant_id,
            paging.key[0] if paging.key else None,
            limit=paging.fetch,
            backwards=paging.backwards,
        )
    found = paging.page(rows, lambda row: [row.created_position])
    data = [shown.consumer(row) for row in found.rows]
    return answers.json(ConsumerPage(data, found.next, found.prev))


@get(ONE, **operation("Read a consumer", scopes=READ, answers={200: Consumer}))
async def get_consumer(request: ApiRequest, name: FromPath[str]) -> Answer:
    """How far it is, and how many events the log has beyond that."""
    return answers.json(shown.consumer(await _existing(request, name)))


@delete(ONE, **operation("Delete a consumer", scopes=WRITE, answers={204: None}))
async def delete_consumer(request: ApiRequest, name: FromPath[str]) -> Answer:
    """Its place is forgotten; one of the same name begins anew."""
    await _existing(request, name)
    log, tenant_id = request.services.log, request.caller.tenant_id

    def delete_one(context: Context) -> None:
        consumer_commands.delete(log, context, tenant_id, name)

    context = await commands.run(request.caller, delete_one)
    return answers.done(context.position or 0)


@get(
    f"{ONE}/events",
    **operation(
        "Read a consumer's next events",
        scopes=READ,
        query=ConsumerEventsQuery,
        answers={200: EventPage},
    ),
)
async def get_consumer_events(request: ApiRequest, name: FromPath[str]) -> Answer:
    """What comes after its place. Reading moves nothing: acknowledge the page's `position`.

    With `wait` an empty answer comes only after so many seconds. A page may have fewer
    events than `limit`, or none, though there are more: go on from its `position`.
    """
    query = request.parameters(ConsumerEventsQuery)
    reader = events.Reader(request, await _existing(request, name), query.limit)
    return answers.json(events.shown(await reader.page(query.wait)))


@post(
    f"{ONE}/ack",
    **operation(
        "Acknowledge events", scopes=WRITE, body=Acknowledge, answers={200: Consumer}
    ),
)
async def acknowledge(request: ApiRequest, name: FromPath[str]) -> Answer:
    """All up to this position is done. An older position changes nothing."""
    sent = await request.read(Acknowledge)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        found = await views.consumer(connection, tenant_id, name)
        if found is None:
            raise NotFound
        if sent.position > found.head:
            detail = f"the log ends at position {found.head}"
            raise Invalid([Fault("#/position", "invalid", detail)])
        await views.acknowledge(connection, tenant_id, name, sent.position)
        found = await views.consumer(connection, tenant_id, name) or found
        headers = answers.position(found.head)
        answer = answers.json(shown.consumer(found), headers=headers)
        # The answer comes after this transaction, so what it says survives any crash.
        return await idempotency.keep(request, connection, answer)


@post(
    f"{ONE}/seek",
    **operation("Move a consumer", scopes=WRITE, body=Seek, answers={200: Consumer}),
)
async def seek(request: ApiRequest, name: FromPath[str]) -> Answer:
    """It goes on from there, `to` being the first it is given: back, or ahead.

    Stop its reader first: an acknowledgement that is on its way would move it on again.
    """
    sent = await request.read(Seek)
    await _existing(request, name)
    to = await _place(request, sent.to, "#/to")
    log, tenant_id = request.services.log, request.caller.tenant_id

    def seek_one(context: Context) -> None:
        consumer_commands.seek(log, context, tenant_id, name, to)

    context = await commands.run(request.caller, seek_one)
    return await _answer(request, name, context)


def _read(raw: bytes, before: views.Consumer | None) -> tuple[Settings, Place | None]:
    """What is set, and where it is to start. What is only shown may come back as it was."""
    known: dict[str, Any] = {}
    if before is not None:
        known = msgspec.to_builtins(shown.consumer(before))
    values, faults = reading.changes(raw, PutConsumer, known)
    given = {name: value for name, value in values.items() if value is not None}
    start = given.pop("start", None)
    settings = Settings(**given)
    faults += consumer.check(settings)
    if faults:
        raise Invalid(faults)
    return settings, start


async def _place(
    request: ApiRequest, place: Place, pointer: str
) -> consumer_commands.Place:
    """A place that was named, as the position before it. Raises Invalid."""
    named = msgspec.to_builtins(place)
    if place == "now":  # that of the event which says so: nothing comes in between
        return consumer_commands.Place(named, None)
    if faults := places.check(place, pointer):
        raise Invalid(faults)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        head = await log_views.head(connection, tenant_id)
        first = await places.first(connection, tenant_id, place, head, pointer)
    return consumer_commands.Place(named, first - 1)


async def _found(request: ApiRequest, name: str) -> views.Consumer | None:
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        return await views.consumer(connection, tenant_id, name)


async def _existing(request: ApiRequest, name: str) -> views.Consumer:
    found = await _found(request, name) if consumer.NAME.holds(name) else None
    if found is None:
        raise NotFound
    return found


async def _answer(
    request: ApiRequest, name: str, context: Context, *, status: int = 200
) -> Answer:
    """The consumer as it is, after a command."""
    row = await _existing(request, name)
    headers = answers.position(context.position or row.head)
    return answers.json(shown.consumer(row), status=status, headers=headers)


HANDLERS = (
    put_consumer,
    list_consumers,
    get_consumer,
    delete_consumer,
    get_consumer_events,
    acknowledge,
    seek,
)
