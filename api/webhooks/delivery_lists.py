"""Lists of deliveries: of a tenant, of a webhook, and those of it that were given up."""

from collections.abc import Sequence
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from api import answers, consistency, filters, shapes
from api.answers import Answer
from api.operation import operation
from api.pagination import Page, Paging
from api.request import ApiRequest
from api.webhooks import changes, shown
from api.webhooks.deliveries import PROJECTION, READ
from api.webhooks.delivery_schemas import (
    DeadLetterQuery,
    DeliveriesOfWebhookQuery,
    DeliveryQuery,
)
from api.webhooks.schemas import DeliveryPage
from domain import grammar, ids, patterns
from domain.errors import NotFound
from domain.ids import MalformedId
from domain.webhooks.delivery import State
from projections.log import views as log_views
from projections.postgres import Connection
from projections.webhooks import delivery_pages, replays
from projections.webhooks.deliveries import Delivery
from projections.webhooks.delivery_pages import (
    BEFORE_ALL,
    BEYOND_ALL,
    Key,
    ReplayKey,
    Selection,
)

PATH = "/api/v1/webhook-deliveries"
OF_WEBHOOK = "/api/v1/webhooks/{webhook_id:str}"
_NOTHING = Selection(first=1, last=0, live=False, replays=())
_DEAD: Sequence[State] = ("dead",)


@get(
    PATH,
    **operation(
        "List deliveries", scopes=READ, query=DeliveryQuery, answers={200: DeliveryPage}
    ),
)
async def list_deliveries(request: ApiRequest) -> Answer:
    """Newest first, by their events; those of deleted webhooks too. By `type` a page may
    be short, or empty, and still have a `next`."""
    query = request.parameters(DeliveryQuery)
    webhook_id = None
    if query.webhook_id is not None:
        try:
            webhook_id = ids.decode("wh", query.webhook_id)
        except MalformedId:  # an absent webhook, which has no deliveries
            webhook_id = UUID(int=0)
    return await _listed(request, query, webhook_id, query.state)


@get(
    f"{OF_WEBHOOK}/deliveries",
    **operation(
        "List a webhook's deliveries",
        scopes=READ,
        query=DeliveriesOfWebhookQuery,
        answers={200: DeliveryPage},
    ),
)
async def list_deliveries_of_webhook(
    request: ApiRequest, webhook_id: FromPath[str]
) -> Answer:
    """Newest first, by their events. By `type` a page may be short, or empty, and still
    have a `next`."""
    query = request.parameters(DeliveriesOfWebhookQuery)
    webhook = await changes.found(request, shapes.parse("wh", webhook_id))
    return await _listed(request, query, webhook.webhook_id, query.state)


@get(
    f"{OF_WEBHOOK}/dead-letters",
    **operation(
        "List a webhook's dead deliveries",
        scopes=READ,
        query=DeadLetterQuery,
        answers={200: DeliveryPage},
    ),
)
async def list_dead_letters(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Those that were given up, newest first; also those that hold their streams."""
    query = request.parameters(DeadLetterQuery)
    webhook = await changes.found(request, shapes.parse("wh", webhook_id))
    return await _listed(request, query, webhook.webhook_id, _DEAD)


async def _listed(
    request: ApiRequest,
    query: DeadLetterQuery,
    webhook_id: UUID | None,
    states: Sequence[State] | None,
) -> Answer:
    filters.check(types=query.type, since=query.since, until=query.until)
    paging = request.paging(query)
    tenant_id = request.caller.tenant_id
    await consistency.follow(request, PROJECTION, query.at_least)
    async with request.services.database.tenant(tenant_id) as connection:
        try:
            selection = await _selection(connection, tenant_id, query, webhook_id)
        except NotFound:  # a filter names what is not there
            selection = _NOTHING
        selection = selection._replace(webhook_id=webhook_id, states=states)
        found = await _page(connection, tenant_id, selection, paging)
    data = [shown.delivery(row) for row in found.rows]
    return answers.json(DeliveryPage(data, found.next, found.prev))


async def _selection(
    connection: Connection,
    tenant_id: UUID,
    query: DeadLetterQuery,
    webhook_id: UUID | None,
) -> Selection:
    """What the filters say. Raises NotFound when nothing can pass them."""
    head = await log_views.head(connection, tenant_id)
    first, last = await filters.span(
        connection, tenant_id, head, since=query.since, until=query.until
    )
    selection = Selection(first, last, types=query.type, status_code=query.status_code)
    if query.event_id is not None:
        position = await _position(connection, tenant_id, query.event_id, query.type)
        selection = selection._replace(position=position)
    if query.since is not None or query.until is not None:
        between = await delivery_pages.replays_between(
            connection, tenant_id, webhook_id, query.since, query.until
        )
        selection = selection._replace(replays=between)
    if query.replay_id is not None:
        one = await _replay(connection, tenant_id, query.replay_id, webhook_id)
        if selection.replays is not None and one not in selection.replays:
            raise NotFound
        selection = selection._replace(live=False, replays=[one])
    return selection


async def _position(
    connection: Connection,
    tenant_id: UUID,
    event_id: str,
    types: Sequence[str] | None,
) -> int:
    if grammar.check_event_id(event_id):  # malformed: an absent one
        raise NotFound
    event = await log_views.event(connection, tenant_id, event_id)
    if event is None or not (types is None or patterns.matches(types, event.type)):
        raise NotFound
    return event.position


async def _replay(
    connection: Connection, tenant_id: UUID, text: str, webhook_id: UUID | None
) -> ReplayKey:
    replay_id = shapes.parse("rpl", text)
    found = await replays.replay(connection, tenant_id, replay_id)
    if found is None or webhook_id not in (None, found.webhook_id):
        raise NotFound
    return ReplayKey(found.webhook_id, found.replay)


async def _page(
    connection: Connection, tenant_id: UUID, selection: Selection, paging: Paging
) -> Page[Delivery]:
    found = await delivery_pages.page(
        connection,
        tenant_id,
        selection,
        _key(paging),
        limit=paging.fetch,
        newer=paging.backwards,
    )
    stopped = None if found.stopped is None else _cursor(found.stopped)
    return paging.page(found.rows, lambda row: _cursor(Key.of(row)), stopped)


def _key(paging: Paging) -> Key:
    if paging.key is None:
        return BEFORE_ALL if paging.backwards else BEYOND_ALL
    position, replay, webhook_id = paging.key
    return Key(position, replay, UUID(webhook_id))


def _cursor(key: Key) -> list[int | str]:
    return [key.position, key.replay, str(key.webhook_id)]


HANDLERS = (list_deliveries, list_deliveries_of_webhook, list_dead_letters)
