"""Deliveries: list them, read one with its attempts, have one tried again."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from api import (
    answers,
    commands,
    consistency,
    filters,
    idempotency,
    quotas,
    shapes,
)
from api.answers import Answer
from api.operation import operation
from api.pagination import Page, Paging
from api.request import ApiRequest
from api.shapes import FollowingQuery, Nothing
from api.webhooks import changes, shown
from api.webhooks.schemas import (
    DeliveriesOfWebhookQuery,
    Delivery,
    DeliveryPage,
    DeliveryQuery,
    DeliveryWithAttempts,
)
from domain import grammar, ids
from domain.errors import (
    DomainError,
    Fault,
    Invalid,
    NotFound,
    VersionConflict,
    WebhookDisabled,
)
from domain.ids import DeliveryKey, MalformedId
from domain.webhooks import delivery as rules
from projections.log import views as log_views
from projections.postgres import Connection
from projections.webhooks import by_hand, deliveries
from projections.webhooks.deliveries import Key, Selection

PATH = "/api/v1/webhook-deliveries"
ONE = f"{PATH}/{{delivery_id:str}}"
READ = ["webhooks:read"]
PROJECTION = "deliveries"  # what follows is there once it has handed off
_NOTHING = Selection(first=1, last=0)


class MovedOn(VersionConflict):
    """The delivery has moved on just now; look at it again."""

    def __init__(self) -> None:
        DomainError.__init__(self)


@get(
    PATH,
    **operation(
        "List deliveries", scopes=READ, query=DeliveryQuery, answers={200: DeliveryPage}
    ),
)
async def list_deliveries(request: ApiRequest) -> Answer:
    """Newest first; those of deleted webhooks too."""
    query = request.parameters(DeliveryQuery)
    webhook_id = None
    if query.webhook_id is not None:
        try:
            webhook_id = ids.decode("wh", query.webhook_id)
        except MalformedId:  # an absent webhook, which has no deliveries
            webhook_id = UUID(int=0)
    return await _list(request, query, webhook_id)


@get(
    "/api/v1/webhooks/{webhook_id:str}/deliveries",
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
    """Newest first."""
    query = request.parameters(DeliveriesOfWebhookQuery)
    webhook = await changes.found(request, shapes.parse("wh", webhook_id))
    return await _list(request, query, webhook.webhook_id)


@get(
    ONE,
    **operation(
        "Read a delivery",
        scopes=READ,
        query=FollowingQuery,
        answers={200: DeliveryWithAttempts},
    ),
)
async def get_delivery(request: ApiRequest, delivery_id: FromPath[str]) -> Answer:
    """With all its attempts."""
    query = request.parameters(FollowingQuery)
    tenant_id, key = request.caller.tenant_id, _parse(delivery_id)
    await consistency.follow(request, PROJECTION, query.at_least)
    async with request.services.database.tenant(tenant_id) as connection:
        return answers.json(await _with_attempts(connection, tenant_id, key))


@post(
    f"{ONE}/retry",
    **operation(
        "Try a delivery again now",
        scopes=["deliveries:retry"],
        body=Nothing,
        answers={202: DeliveryWithAttempts},
    ),
)
async def retry_delivery(request: ApiRequest, delivery_id: FromPath[str]) -> Answer:
    """One attempt, from any state but `sending`. The webhook must be enabled."""
    await request.read_if_any(Nothing)
    tenant_id, key = request.caller.tenant_id, _parse(delivery_id)
    await request.services.quotas.admit_within(
        request.scope, request.caller, quotas.RETRY, key.number
    )

    async def attempt() -> Answer:
        async with request.services.database.tenant(tenant_id) as connection:
            await _retry(connection, tenant_id, key)
            shown_now = await _with_attempts(connection, tenant_id, key)
            head = await log_views.head(connection, tenant_id)
            answer = answers.json(shown_now, status=202, headers=answers.position(head))
            return await idempotency.keep(request, connection, answer)

    return await commands.repeated(attempt)


async def _retry(connection: Connection, tenant_id: UUID, key: DeliveryKey) -> None:
    found = await _found(connection, tenant_id, key)
    if found.webhook_state != "active":
        raise WebhookDisabled(f"the webhook is {found.webhook_state}")
    if not rules.may_retry_by_hand(found.state):
        detail = "the delivery is being sent just now; wait for what comes of it"
        raise Invalid([Fault("#", "invalid", detail)], detail)
    if not await by_hand.retry(connection, tenant_id, found):
        # A worker, or somebody else's retry, was quicker: look again.
        raise MovedOn


async def _list(
    request: ApiRequest,
    query: DeliveriesOfWebhookQuery,
    webhook_id: UUID | None,
) -> Answer:
    filters.check(types=query.type, since=query.since, until=query.until)
    paging = request.paging(query)
    tenant_id = request.caller.tenant_id
    await consistency.follow(request, PROJECTION, query.at_least)
    async with request.services.database.tenant(tenant_id) as connection:
        selection = await _selection(connection, tenant_id, query)
        found = await _page(
            connection, tenant_id, selection._replace(webhook_id=webhook_id), paging
        )
    data: list[Delivery] = [shown.delivery(row) for row in found.rows]
    return answers.json(DeliveryPage(data, found.next, found.prev))


async def _selection(
    connection: Connection, tenant_id: UUID, query: DeliveriesOfWebhookQuery
) -> Selection:
    head = await log_views.head(connection, tenant_id)
    first, last = await filters.span(
        connection, tenant_id, head, since=query.since, until=query.until
    )
    if query.event_id is not None:
        position = await _position(connection, tenant_id, query.event_id)
        if position is None or not first <= position <= last:
            return _NOTHING
        first = last = position
    return Selection(
        first,
        last,
        states=query.state,
        types=query.type,
        status_code=query.status_code,
    )


async def _position(
    connection: Connection, tenant_id: UUID, event_id: str
) -> int | None:
    if grammar.check_event_id(event_id):  # malformed: an absent one
        return None
    event = await log_views.event(connection, tenant_id, event_id)
    return event.position if event else None


async def _page(
    connection: Connection, tenant_id: UUID, selection: Selection, paging: Paging
) -> Page[deliveries.Delivery]:
    beyond_all = Key(selection.last + 1, 0)
    found = await deliveries.deliveries(
        connection,
        tenant_id,
        selection,
        Key(*paging.key) if paging.key else beyond_all,
        limit=paging.fetch,
        newer=paging.backwards,
    )
    return paging.page(found, lambda row: [row.position, row.number])


async def _with_attempts(
    connection: Connection, tenant_id: UUID, key: DeliveryKey
) -> DeliveryWithAttempts:
    row = await _found(connection, tenant_id, key)
    attempts = await deliveries.attempts(connection, tenant_id, row)
    return shown.delivery_with_attempts(row, attempts)


async def _found(
    connection: Connection, tenant_id: UUID, key: DeliveryKey
) -> deliveries.Delivery:
    found = await deliveries.delivery(connection, tenant_id, key)
    if found is None:
        raise NotFound
    return found


def _parse(text: str) -> DeliveryKey:
    try:
        return ids.parse_delivery(text)
    except MalformedId:
        raise NotFound from None


HANDLERS = (list_deliveries, list_deliveries_of_webhook, get_delivery, retry_delivery)
