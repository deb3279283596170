"""Webhooks: make, read, change, enable, disable, delete, try out."""

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import FromPath

from api import answers, commands, filters, places, quotas, shapes
from api.answers import Answer
from api.operation import operation
from api.pagination import PageQuery
from api.places import Place
from api.request import ApiRequest
from api.webhooks import changes, past, sealing, settings, shown, trial
from api.webhooks.changes import Change
from api.webhooks.schemas import (
    Attempt,
    DisableWebhook,
    EnableWebhook,
    SendTest,
    TestUnanswered,
    Webhook,
    WebhookPage,
)
from api.webhooks.setting_schemas import (
    CreateWebhook,
    WebhookChanges,
    WebhookQuery,
    WebhookSettings,
)
from domain import grammar
from domain.errors import Invalid
from domain.log.entry import Context
from domain.webhooks import commands as webhook_commands
from domain.webhooks import signing
from domain.webhooks.address import open_ports
from domain.webhooks.replay import Wanted
from domain.webhooks.subscription import Subscription
from projections.log import views as log_views
from projections.webhooks import views

PATH = "/api/v1/webhooks"
ONE = f"{PATH}/{{webhook_id:str}}"
READ, WRITE = ["webhooks:read"], ["webhooks:write"]


@post(
    PATH,
    **operation(
        "Create a webhook",
        scopes=WRITE,
        body=CreateWebhook,
        answers={201: Webhook},
    ),
)
async def create_webhook(request: ApiRequest) -> Answer:
    """It is owed what is published from now on, and with `start` what is older, as a replay
    of its own. `secret` is shown this once."""
    services, tenant_id = request.services, request.caller.tenant_id
    development = services.settings.development
    ports = open_ports(services.settings.webhook_ports)
    sent = settings.read(
        await request.checked(),
        CreateWebhook,
        seen=None,
        keep=False,
        shown={},
        development=development,
        ports=ports,
    )
    webhook_id, secret = request.new_id(), sent.secret or signing.new_secret()
    wanted, riders = sealing.made(request, webhook_id, sent, secret)
    start = await _older(request, sent.start)

    def create(context: Context) -> None:
        webhook_commands.create(
            services.log,
            context,
            tenant_id,
            webhook_id,
            wanted,
            start=start,
            development=development,
            ports=ports,
        )

    context = await commands.run(request.caller, create, riders=riders)
    return await changes.answer(
        request,
        webhook_id,
        context.position or 0,
        status=201,
        secret=signing.format_secret(secret),
    )


@get(
    PATH,
    **operation(
        "List webhooks", scopes=READ, query=PageQuery, answers={200: WebhookPage}
    ),
)
async def list_webhooks(request: ApiRequest) -> Answer:
    """Oldest first."""
    paging = request.paging(request.parameters(PageQuery))
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await views.webhooks(
            connection,
            tenant_id,
            paging.key[0] if paging.key else None,
            limit=paging.fetch,
            backwards=paging.backwards,
        )
    found = paging.page(rows, lambda row: [row.number])
    data = [shown.webhook(row) for row in found.rows]
    return answers.json(WebhookPage(data, found.next, found.prev))


@get(
    ONE,
    **operation(
        "Read a webhook", scopes=READ, query=WebhookQuery, answers={200: Webhook}
    ),
)
async def get_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """`ETag` is its version. With `as_of`, as it was: `health` is then null."""
    as_of = request.parameters(WebhookQuery).as_of
    place = None if as_of is None else filters.place(as_of)
    one = shapes.parse("wh", webhook_id)
    if place is not None:
        return answers.json(await past.webhook(request, one, place))
    webhook = await changes.found(request, one)
    return answers.json(shown.webhook(webhook), headers=changes.etag(webhook))


@put(
    ONE,
    **operation(
        "Replace a webhook's settings",
        scopes=WRITE,
        body=WebhookSettings,
        headers=changes.HEADERS,
        answers={200: Webhook},
    ),
)
async def replace_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """What is left out goes back to its default."""
    return await _configure(request, webhook_id, keep=False)


@patch(
    ONE,
    **operation(
        "Change some of a webhook's settings",
        scopes=WRITE,
        body=WebhookChanges,
        headers=changes.HEADERS,
        answers={200: Webhook},
    ),
)
async def change_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """What is left out stays; null goes back to the default."""
    return await _configure(request, webhook_id, keep=True)


@delete(
    ONE,
    **operation(
        "Delete a webhook",
        scopes=WRITE,
        headers=changes.HEADERS,
        answers={204: None},
    ),
)
async def delete_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Cancels what it is owed; the history of its deliveries stays."""
    one = shapes.parse("wh", webhook_id)
    position = await changes.change(request, one, changes.always(Subscription.delete))
    return answers.done(position)


@post(
    f"{ONE}/enable",
    **operation(
        "Enable a webhook",
        scopes=WRITE,
        body=EnableWebhook,
        headers=changes.HEADERS,
        answers={200: Webhook},
    ),
)
async def enable_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """It is sent what waited, in order, or only what comes from now on. Repeatable."""
    resume = (await request.read_if_any(EnableWebhook)).resume
    one = shapes.parse("wh", webhook_id)

    def enable(webhook: Subscription) -> None:
        webhook.enable(resume)

    position = await changes.change(request, one, changes.always(enable))
    return await changes.answer(request, one, position)


@post(
    f"{ONE}/disable",
    **operation(
        "Disable a webhook",
        scopes=WRITE,
        body=DisableWebhook,
        headers=changes.HEADERS,
        answers={200: Webhook},
    ),
)
async def disable_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Nothing more is attempted; what it is owed waits. Repeatable.

    `reason` stands in the log, as the `note` of `daybook.webhook.disabled`.
    """
    note = (await request.read_if_any(DisableWebhook)).reason
    if note is not None and (faults := grammar.check_description(note, "#/reason")):
        raise Invalid(faults)

    def disable(webhook: Subscription) -> None:
        webhook.disable("manual", note)

    one = shapes.parse("wh", webhook_id)
    position = await changes.change(request, one, changes.always(disable))
    return await changes.answer(request, one, position)


@post(
    f"{ONE}/test",
    **operation(
        "Send a test delivery",
        scopes=WRITE,
        body=SendTest,
        answers={200: Attempt, 202: TestUnanswered},
    ),
)
async def test_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Sent now, disabled or not; not in the log, no retry, in no figure."""
    sent = await request.read_if_any(SendTest)
    trial.check(sent)
    webhook = await changes.found(request, shapes.parse("wh", webhook_id))
    await request.services.quotas.admit_within(
        request.scope, request.caller, quotas.TEST, webhook.webhook_id
    )
    outcome = await trial.send(request, webhook, sent)
    status = 200 if isinstance(outcome, Attempt) else 202
    return answers.json(outcome, status=status)


async def _older(request: ApiRequest, start: Place) -> Wanted | None:
    """What is older than a webhook and to be owed to it all the same. Raises Invalid."""
    if start == "now":
        return None
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        head = await log_views.head(connection, tenant_id)
        first = await places.first(connection, tenant_id, start, head, "#/start")
    return Wanted(from_position=first) if first <= head else None


async def _configure(request: ApiRequest, webhook_id: str, *, keep: bool) -> Answer:
    one, raw = shapes.parse("wh", webhook_id), await request.checked()

    async def decide(seen: views.Webhook) -> Change:
        sent = settings.read(
            raw,
            WebhookSettings,
            seen=seen,
            keep=keep,
            shown=msgspec.to_builtins(shown.webhook(seen)),
            development=request.services.settings.development,
            ports=open_ports(request.services.settings.webhook_ports),
        )
        wanted, riders = await sealing.changed(request, seen, sent)
        return Change(lambda webhook: webhook.configure(wanted), riders)

    position = await changes.change(request, one, decide)
    return await changes.answer(request, one, position)


HANDLERS = (
    create_webhook,
    list_webhooks,
    get_webhook,
    replace_webhook,
    change_webhook,
    delete_webhook,
    enable_webhook,
    disable_webhook,
    test_webhook,
)
