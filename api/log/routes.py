"""Events: publish one or many, list them, read one."""

from litestar import get, post
from litestar.params import FromPath

from api import answers, consistency, filters, limits, quotas
from api.answers import Answer
from api.log import appending, listing, publishing
from api.log.schemas import (
    EventDelivery,
    EventPage,
    EventQuery,
    EventWithDeliveries,
    PublishBatch,
    Published,
    PublishedBatch,
    PublishEvent,
)
from api.operation import operation
from api.request import ApiRequest
from api.shapes import FollowingQuery
from domain import grammar, ids
from domain.errors import NotFound
from domain.ids import DeliveryKey
from projections.log import views

MOST_DELIVERIES = 100


@post(
    "/api/v1/events",
    request_max_body_size=limits.EVENT_BYTES,
    **operation(
        "Publish an event",
        scopes=["events:write"],
        body=PublishEvent,
        headers=appending.HEADERS,
        policy=quotas.PUBLISH,
        direct=True,
        answers={202: Published, 200: Published},
    ),
)
async def publish_event(request: ApiRequest) -> Answer:
    """The answer comes after the commit: the event is in the log."""
    sent = publishing.event(await request.raw())
    entry = publishing.entry(sent, request.caller)
    [receipt] = await appending.append(request, [entry])
    return publishing.answer(receipt)


@post(
    "/api/v1/events/batch",
    request_max_body_size=limits.BATCH_BYTES,
    **operation(
        "Publish events in order, all or none",
        scopes=["events:write"],
        body=PublishBatch,
        headers=appending.HEADERS,
        policy=quotas.PUBLISH,
        direct=True,
        answers={202: PublishedBatch},
    ),
)
async def publish_batch(request: ApiRequest) -> Answer:
    """One problem lists every bad event, or all are in the log."""
    sent = publishing.batch(await request.raw())
    entries = [publishing.entry(event, request.caller) for event in sent]
    receipts = await appending.append(request, entries, "#/events/{}")
    last = max(receipt.position for receipt in receipts)
    return answers.json(
        publishing.published_batch(receipts),
        status=202,
        headers=answers.position(last),
    )


@get(
    "/api/v1/events",
    **operation(
        "List events in log order",
        scopes=["events:read"],
        query=EventQuery,
        answers={200: EventPage},
    ),
)
async def list_events(request: ApiRequest) -> Answer:
    """Without `type` Daybook's own events are left out; `type=daybook.*` names them."""
    query = request.parameters(EventQuery)
    filters.check(
        types=query.type,
        streams=query.stream,
        subject=query.subject,
        since=query.since,
        until=query.until,
    )
    paging = request.paging(query)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        return answers.json(await listing.page(connection, tenant_id, query, paging))


@get(
    "/api/v1/events/{event_id:str}",
    **operation(
        "Read one event and what became of it",
        scopes=["events:read"],
        query=FollowingQuery,
        answers={200: EventWithDeliveries},
    ),
)
async def get_event(request: ApiRequest, event_id: FromPath[str]) -> Answer:
    """With the states of its newest 100 deliveries."""
    query = request.parameters(FollowingQuery)
    if grammar.check_event_id(event_id):
        raise NotFound
    tenant_id = request.caller.tenant_id
    await consistency.follow(request, "deliveries", query.at_least)
    async with request.services.database.tenant(tenant_id) as connection:
        event = await views.event(connection, tenant_id, event_id)
        if event is None:
            raise NotFound
        found = await views.deliveries(
            connection, tenant_id, event.position, MOST_DELIVERIES
        )
    deliveries = [
        EventDelivery(
            ids.delivery(DeliveryKey(row.position, row.number, row.replay)),
            ids.encode("wh", row.webhook_id),
            row.state,
        )
        for row in found
    ]
    shown = listing.shown(event)
    return answers.json(EventWithDeliveries(**shown, deliveries=deliveries))


HANDLERS = (publish_event, publish_batch, list_events, get_event)
