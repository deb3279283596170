"""Dead letters: deliveries that were given up, and owing them again in bulk."""

from uuid import UUID

from litestar import post
from litestar.params import FromPath

from api import answers, idempotency, shapes
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.webhooks import changes
from api.webhooks.dead_letter_schemas import Redriven, WantRedrive
from domain import ids
from domain.errors import Fault, Invalid
from domain.ids import DeliveryKey, MalformedId
from projections.log import views as log_views
from projections.webhooks import by_hand, views
from projections.webhooks.by_hand import Dead

OF_WEBHOOK = "/api/v1/webhooks/{webhook_id:str}"


@post(
    f"{OF_WEBHOOK}/redrive",
    **operation(
        "Owe a webhook's dead deliveries again",
        scopes=["deliveries:retry"],
        body=WantRedrive,
        answers={202: Redriven},
    ),
)
async def redrive_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """The same deliveries, attempts counted on, the retry schedule from its beginning. A
    disabled webhook is sent them when it is enabled."""
    one, sent = shapes.parse("wh", webhook_id), await request.read_if_any(WantRedrive)
    webhook = await changes.found(request, one)
    _check(sent)
    return await _redrive(request, _dead(request.caller.tenant_id, webhook, sent))


async def _redrive(request: ApiRequest, dead: Dead) -> Answer:
    database, count = request.services.database, 0
    async with database.tenant(dead.tenant_id) as connection:
        redrive = await by_hand.begin(connection, dead)
    while True:
        async with database.tenant(dead.tenant_id) as connection:
            count += await redrive.step(connection)
            if redrive.is_done:
                head = await log_views.head(connection, dead.tenant_id)
                headers = answers.position(head)
                answer = answers.json(Redriven(count), status=202, headers=headers)
                return await idempotency.keep(request, connection, answer)


def _check(sent: WantRedrive) -> None:
    between = sent.since is not None or sent.until is not None
    ways = [sent.all, between, sent.delivery_ids is not None]
    if ways.count(True) != 1:
        detail = "say which: `all`, or `delivery_ids`, or `since` and `until`"
        raise Invalid([Fault("#", "invalid", detail)], detail)
    faults = []
    for name, moment in (("since", sent.since), ("until", sent.until)):
        if moment is not None:
            faults += shapes.check_time(moment, f"#/{name}")
    if faults:
        raise Invalid(faults)


def _dead(tenant_id: UUID, webhook: views.Webhook, sent: WantRedrive) -> Dead:
    dead = Dead(tenant_id, webhook.webhook_id, since=sent.since, until=sent.until)
    if sent.delivery_ids is None:
        return dead
    return dead._replace(keys=_keys(sent.delivery_ids, webhook.number))


def _keys(delivery_ids: list[str], number: int) -> list[DeliveryKey]:
    """Those that may be the webhook's; the others are absent, like ids of no delivery."""
    keys = set()
    for text in delivery_ids:
        try:
            key = ids.parse_delivery(text)
        except MalformedId:
            continue
        if key.webhook_number == number:
            keys.add(key)
    return sorted(keys)


HANDLERS = (redrive_webhook,)
