"""Replays: owe events of the past again, watch how far that is, cancel it."""

from typing import NamedTuple
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath

from api import answers, commands, places, shapes
from api.answers import Answer
from api.operation import operation
from api.pagination import PageQuery
from api.request import ApiRequest
from api.webhooks import changes
from api.webhooks.replay_schemas import (
    DryReplay,
    Replay,
    ReplayPage,
    ReplayPlace,
    WantReplay,
)
from domain import ids, patterns
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context
from domain.webhooks import commands as webhook_commands
from domain.webhooks.replay import Wanted
from projections.log import views as log_views
from projections.webhooks import past, replays

PATH = "/api/v1/replays"
ONE = f"{PATH}/{{replay_id:str}}"
OF_WEBHOOK = "/api/v1/webhooks/{webhook_id:str}"
READ, WRITE = ["webhooks:read"], ["webhooks:write"]


class Asked(NamedTuple):
    """A replay that makes sense: which events, from `first` through `last`."""

    choice: past.Choice
    first: int
    last: int


@post(
    f"{OF_WEBHOOK}/replay",
    **operation(
        "Replay events to a webhook",
        scopes=WRITE,
        body=WantReplay,
        answers={200: DryReplay, 202: Replay},
    ),
)
async def replay_webhook(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Owes it the events that match it as it is now, once more or for the first time. A
    tenant has at most 4 replays running; a disabled webhook is sent them when it is
    enabled."""
    one, sent = shapes.parse("wh", webhook_id), await request.read(WantReplay)
    _check(sent)
    asked = await _ask(request, one, sent)
    async with request.services.counting:
        count = await past.count(
            request.services.database, asked.choice, asked.first - 1, asked.last
        )
    if sent.dry_run:
        begin, end = ReplayPlace(asked.first), ReplayPlace(asked.last)
        return answers.json(DryReplay(dry_run=True, count=count, from_=begin, to=end))
    wanted = Wanted(
        from_position=asked.first,
        to_position=asked.last,
        event_types=sent.event_types,
        only_failed=sent.only_failed,
        fresh_ids=sent.fresh_ids,
        count=count,
    )
    return await _request(request, one, wanted)


@get(
    f"{OF_WEBHOOK}/replays",
    **operation(
        "List a webhook's replays",
        scopes=READ,
        query=PageQuery,
        answers={200: ReplayPage},
    ),
)
async def list_replays(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Newest first; the one that a webhook was made with, by `start`, is the oldest."""
    paging = request.paging(request.parameters(PageQuery))
    webhook = await changes.found(request, shapes.parse("wh", webhook_id))
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await replays.replays(
            connection,
            tenant_id,
            webhook.webhook_id,
            paging.key[0] if paging.key else None,
            limit=paging.fetch,
            newer=paging.backwards,
        )
    found = paging.page(rows, lambda row: [row.replay])
    data = [_shown(row) for row in found.rows]
    return answers.json(ReplayPage(data, found.next, found.prev))


@get(ONE, **operation("Read a replay", scopes=READ, answers={200: Replay}))
async def get_replay(request: ApiRequest, replay_id: FromPath[str]) -> Answer:
    """How far it is."""
    found = await _found(request, shapes.parse("rpl", replay_id))
    return answers.json(_shown(found))


@delete(ONE, **operation("Cancel a replay", scopes=WRITE, answers={204: None}))
async def cancel_replay(request: ApiRequest, replay_id: FromPath[str]) -> Answer:
    """What it owes and has not begun is cancelled; one that has ended stays as it is."""
    one, tenant_id = shapes.parse("rpl", replay_id), request.caller.tenant_id
    webhook_id = (await _found(request, one)).webhook_id

    def cancel(context: Context) -> None:
        webhook_commands.end_replay(
            request.services.log, context, tenant_id, webhook_id, one
        )

    context = await commands.run(request.caller, cancel)
    return answers.done(context.position or await request.services.head(tenant_id))


def _check(sent: WantReplay) -> None:
    faults = places.check(sent.from_, "#/from")
    if sent.to is not None:
        faults += places.check(sent.to, "#/to")
    if sent.event_types is not None:
        faults += patterns.check(sent.event_types)
    if faults:
        raise Invalid(faults)


async def _ask(request: ApiRequest, webhook_id: UUID, sent: WantReplay) -> Asked:
    """What is asked for, with places as positions. Raises NotFound, Invalid."""
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        choice = await replays.wanted(
            connection,
            tenant_id,
            webhook_id,
            event_types=sent.event_types,
            only_failed=sent.only_failed,
        )
        if choice is None:
            raise NotFound
        head = await log_views.head(connection, tenant_id)
        first = await places.first(connection, tenant_id, sent.from_, head, "#/from")
        to = "now" if sent.to is None else sent.to
        last = await places.last(connection, tenant_id, to, head, "#/to")
    if last < first - 1:
        raise Invalid([Fault("#/to", "invalid", "it lies before `from`")])
    return Asked(choice, first, last)


async def _request(request: ApiRequest, webhook_id: UUID, wanted: Wanted) -> Answer:
    tenant_id, replay_id = request.caller.tenant_id, request.new_id()

    def act(context: Context) -> None:
        webhook_commands.request_replay(
            request.services.log, context, tenant_id, webhook_id, replay_id, wanted
        )

    context = await commands.run(request.caller, act)
    shown = _shown(await _found(request, replay_id))
    headers = answers.position(context.position or 0)
    headers["Location"] = f"{PATH}/{shown.id}"
    return answers.json(shown, status=202, headers=headers)


async def _found(request: ApiRequest, replay_id: UUID) -> replays.Replay:
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        found = await replays.replay(connection, tenant_id, replay_id)
    if found is None:
        raise NotFound
    return found


def _shown(row: replays.Replay) -> Replay:
    return Replay(
        id=ids.encode("rpl", row.replay_id),
        webhook_id=ids.encode("wh", row.webhook_id),
        state=row.state,
        from_=ReplayPlace(row.from_position),
        to=ReplayPlace(row.to_position),
        event_types=row.event_types,
        only_failed=row.only_failed,
        count=row.planned,
        handed_off=row.handed_off,
        succeeded=row.succeeded,
        dead=row.dead,
        position=row.cursor,
        created_at=shapes.time(row.created_at),
        finished_at=shapes.time_or_none(row.finished_at),
    )


HANDLERS = (replay_webhook, list_replays, get_replay, cancel_replay)
