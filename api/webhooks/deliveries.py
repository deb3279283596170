"""One delivery: read it with its attempts, read its body, have it tried again."""

import base64
import hashlib
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from api import answers, commands, consistency, idempotency, quotas
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.shapes import FollowingQuery, Nothing
from api.webhooks import attempts
from api.webhooks.schemas import Delivered, DeliveryWithAttempts
from domain import ids
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
from projections.vault import Vault
from projections.webhooks import by_hand, deliveries

ONE = "/api/v1/webhook-deliveries/{delivery_id:str}"
READ = ["webhooks:read"]
READ_EVENTS = ["events:read"]  # a body tells what the event tells
PROJECTION = "deliveries"  # what follows is there once it has handed off


class MovedOn(VersionConflict):
    """The delivery has moved on just now; look at it again."""

    def __init__(self) -> None:
        DomainError.__init__(self)


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
        vault = request.services.vault
        return answers.json(await _with_attempts(request, connection, key, vault))


@get(
    f"{ONE}/body",
    **operation(
        "Read the body of a delivery", scopes=READ_EVENTS, answers={200: Delivered}
    ),
)
async def get_body(request: ApiRequest, delivery_id: FromPath[str]) -> Answer:
    """The bytes that are sent, in the webhook's format: made again from the log, the same
    as on every attempt, whatever signed them. `Repr-Digest` (RFC 9530) has their SHA-256,
    to compare with `body_sha256` of an attempt."""
    tenant_id, key = request.caller.tenant_id, _parse(delivery_id)
    async with request.services.database.tenant(tenant_id) as connection:
        row = await _found(connection, tenant_id, key)
        content = await deliveries.content(connection, tenant_id, row)
    rendered = attempts.body(tenant_id, content)
    digest = base64.b64encode(hashlib.sha256(rendered.body).digest()).decode()
    return Answer(
        rendered.body,
        media_type=rendered.content_type.encode(),
        headers={"Repr-Digest": f"sha-256=:{digest}:", **rendered.headers},
    )


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
            # This answer may be kept as it is: so without what is sealed where it lies.
            shown_now = await _with_attempts(request, connection, key, None)
            head = await log_views.head(connection, tenant_id)
            answer = answers.json(shown_now, status=202, headers=answers.position(head))
            return await idempotency.keep(request, connection, answer)

    return await commands.repeated(attempt)


async def _retry(connection: Connection, tenant_id: UUID, key: DeliveryKey) -> None:
    found = await _found(connection, tenant_id, key)
    if found.webhook_state != "active":
        is_deleted = found.webhook_state == "deleted"
        raise WebhookDisabled("the webhook is deleted" if is_deleted else None)
    if not rules.may_retry_by_hand(found.state):
        detail = "the delivery is being sent just now; wait for what comes of it"
        raise Invalid([Fault("#", "invalid", detail)], detail)
    if not await by_hand.retry(connection, tenant_id, found):
        # A worker, or somebody else's retry, was quicker: look again.
        raise MovedOn


async def _with_attempts(
    request: ApiRequest,
    connection: Connection,
    key: DeliveryKey,
    vault: Vault | None,
) -> DeliveryWithAttempts:
    tenant_id = request.caller.tenant_id
    row = await _found(connection, tenant_id, key)
    made = await deliveries.attempts(connection, tenant_id, row)
    content = await deliveries.content(connection, tenant_id, row)
    return attempts.with_attempts(tenant_id, row, made, content, vault)


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


HANDLERS = (get_delivery, get_body, retry_delivery)
