"""The secrets of webhooks: another one, while those before it still sign for a time."""

from datetime import datetime, timedelta

from litestar import post
from litestar.params import FromPath

from api import answers, shapes
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.webhooks import changes, settings
from api.webhooks.changes import Change
from api.webhooks.routes import ONE, WRITE
from api.webhooks.setting_schemas import Rotated, RotateSecret
from domain import clock
from domain.log.entry import Statement
from domain.webhooks import signing
from projections.webhooks import sealing, views
from projections.webhooks.sealing import Place


@post(
    f"{ONE}/rotate-secret",
    **operation(
        "Rotate a webhook's secret",
        scopes=WRITE,
        body=RotateSecret,
        answers={200: Rotated},
    ),
)
async def rotate_secret(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Another `secret` signs, shown this once, and another key where `v1a` is used.

    Those before sign as well until `previous_expires_at`; with an overlap of 0 none does.
    """
    sent = await request.read_if_any(RotateSecret)
    secret = settings.read_secret(sent.secret)
    now = clock.now()
    ends = now + timedelta(seconds=sent.overlap_seconds)

    async def decide(seen: views.Webhook) -> Change:
        riders = _riders(request, seen, secret, now, ends)
        until = clock.rfc3339(ends)
        return Change(lambda webhook: webhook.rotate_secret(until), riders)

    one, tenant_id = shapes.parse("wh", webhook_id), request.caller.tenant_id
    position = await changes.change(request, one, decide)
    webhook = await changes.found(request, one)
    async with request.services.database.tenant(tenant_id) as connection:
        expire_at = await sealing.previous_expire_at(connection, tenant_id, one)
    rotated = Rotated(
        signing.format_secret(secret),
        webhook.public_key if "v1a" in webhook.signing else None,
        shapes.time_or_none(expire_at),
    )
    headers = answers.position(position) | changes.etag(webhook)
    return answers.json(rotated, headers=headers)


def _riders(
    request: ApiRequest,
    seen: views.Webhook,
    secret: bytes,
    now: datetime,
    ends: datetime,
) -> list[Statement]:
    """The end of those before comes first: it must not meet the new ones."""
    place = Place(request.caller.tenant_id, seen.webhook_id, seen.version + 1)
    vault = request.services.vault
    riders = [
        sealing.expiry_rider(place, now, ends),
        sealing.signing_rider(vault, place, secret),
    ]
    if seen.public_key is not None:
        riders.append(sealing.key_rider(vault, place))
    return riders


HANDLERS = (rotate_secret,)
