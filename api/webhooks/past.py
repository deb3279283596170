"""A webhook as it was: its settings folded from its events, whatever has come since."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from api import filters
from api.request import ApiRequest
from api.webhooks import shown
from api.webhooks.schemas import Webhook
from domain.errors import NotFound
from domain.webhooks import subscription
from domain.webhooks.subscription import Subscription
from projections.log import views as log_views
from projections.webhooks import views
from projections.webhooks.views import Past


async def webhook(
    request: ApiRequest, webhook_id: UUID, place: int | datetime
) -> Webhook:
    """The webhook at a place in the log. Raises NotFound, LogRewound."""
    tenant_id = request.caller.tenant_id
    stream = subscription.stream(webhook_id)
    async with request.services.database.tenant(tenant_id) as connection:
        head = await log_views.head(connection, tenant_id)
        position = await filters.as_of(connection, tenant_id, place, head)
        version = await log_views.version_as_of(connection, tenant_id, stream, position)
        found = await views.webhook_as_of(connection, tenant_id, webhook_id, version)
    if found is None:
        raise NotFound
    then = await asyncio.to_thread(
        request.services.log.load_as_of,
        Subscription,
        subscription.originator_id(tenant_id, webhook_id),
        version=version,
    )
    if then.is_deleted:
        raise NotFound
    row = views.Webhook(**_row(then, webhook_id, found))
    return msgspec.structs.replace(shown.webhook(row), health=None)


def _row(then: Subscription, webhook_id: UUID, past: Past) -> dict[str, Any]:
    settings = dict(then.settings)
    after = settings.pop("disable_after")
    return settings | {
        "webhook_id": webhook_id,
        "number": 0,
        "disable_failures": after["failures"],
        "disable_over_seconds": after["over_seconds"],
        "state": "active" if then.is_enabled else "disabled",
        "disabled_at": None if then.is_enabled else past.switched_at,
        "disabled_reason": None if then.is_enabled else _reason(past),
        "disabled_position": None if then.is_enabled else past.switched_at_position,
        "version": then.version,
        "created_by": past.created_by,
        "created_at": past.created_at,
        "updated_at": past.updated_at,
        "is_failing": False,
        "is_open": False,
        "public_key": past.public_key,
    }


def _reason(past: Past) -> str | None:
    if past.switched is None:
        return None
    reason: str = msgspec.json.decode(past.switched)["reason"]
    return reason
