"""Changing a webhook: read it, decide, record; again when somebody else was quicker.

What is decided from a version is recorded on exactly that version. So two PATCHes never
undo each other, and If-Match holds at the moment of the write, not a little before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from api import answers, commands
from api.answers import Answer
from api.errors import EtagMismatch
from api.request import ApiRequest
from api.webhooks import shown
from domain.application import Log
from domain.errors import NotFound, VersionConflict
from domain.log.entry import Context, Statement
from domain.webhooks import commands as webhook_commands
from domain.webhooks.subscription import Subscription
from projections.webhooks import views

Act = Callable[[Subscription], None]


class Change(NamedTuple):
    """What is done to a webhook, and what is written beside its events."""

    act: Act
    riders: Sequence[Statement] = ()


Decide = Callable[[views.Webhook], Awaitable[Change]]


def always(act: Act) -> Decide:
    """Do it, whatever the webhook is like."""

    async def decide(seen: views.Webhook) -> Change:
        return Change(act)

    return decide


HEADERS = {"If-Match": "refuse unless the webhook is as this `ETag` of it says, or `*`"}


async def found(request: ApiRequest, webhook_id: UUID) -> views.Webhook:
    """The webhook as it is now. Raises NotFound."""
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        webhook = await views.webhook(connection, tenant_id, webhook_id)
    if webhook is None:
        raise NotFound
    return webhook


async def change(request: ApiRequest, webhook_id: UUID, decide: Decide) -> int:
    """Do what `decide` makes of the webhook; up to where the log then holds it."""

    async def attempt() -> Context:
        seen = await found(request, webhook_id)
        _check_if_match(request, seen.version)
        (act, riders), caller = await decide(seen), request.caller
        context = Context(caller.actor, riders=riders, claim=caller.claim)
        await asyncio.to_thread(
            _record, request.services.log, context, caller.tenant_id, seen, act
        )
        return context

    context = await commands.repeated(attempt)
    if context.position is not None:
        return context.position
    return await request.services.head(request.caller.tenant_id)


async def answer(
    request: ApiRequest,
    webhook_id: UUID,
    position: int,
    *,
    status: int = 200,
    secret: str | None = None,
) -> Answer:
    """The webhook after a write that the log holds up to `position`."""
    webhook = await found(request, webhook_id)
    headers = answers.position(position) | etag(webhook)
    if status == 201:
        headers["Location"] = f"/api/v1/webhooks/{shown.webhook(webhook).id}"
    return answers.json(shown.webhook(webhook, secret), status=status, headers=headers)


def etag(webhook: views.Webhook) -> dict[str, str]:
    """The header that names the version."""
    return {"ETag": f'"{webhook.version}"'}


def _record(
    log: Log, context: Context, tenant_id: UUID, seen: views.Webhook, act: Act
) -> None:
    webhook = webhook_commands.load(log, tenant_id, seen.webhook_id)
    if webhook.version != seen.version:
        raise VersionConflict(webhook.stream, seen.version, webhook.version)
    act(webhook)
    log.record(webhook, context)


def _check_if_match(request: ApiRequest, version: int) -> None:
    """RFC 9110, section 13.1.1: any of the tags, compared strongly."""
    wanted = request.headers.getall("if-match", [])
    if not wanted:
        return
    tags = [tag.strip() for line in wanted for tag in line.split(",")]
    if "*" not in tags and f'"{version}"' not in tags:
        raise EtagMismatch(f'the webhook is at version "{version}"')
