"""What can be done to webhooks and event types."""

from typing import Any
from uuid import UUID

import msgspec

from domain.application import Log
from domain.errors import Invalid, NotFound
from domain.log.entry import Context
from domain.webhooks import event_type, subscription
from domain.webhooks import settings as rules
from domain.webhooks.event_type import EventType
from domain.webhooks.settings import Settings
from domain.webhooks.subscription import DisabledReason, Subscription


def create(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    settings: Settings,
    *,
    development: bool = False,
) -> None:
    """Begin a webhook; it is owed what is appended from now on. Raises Invalid."""
    _check(settings, development)
    webhook = Subscription(
        id=subscription.originator_id(tenant_id, webhook_id),
        settings=msgspec.to_builtins(settings),
    )
    log.record(webhook, context)


def configure(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    settings: Settings,
    *,
    development: bool = False,
) -> None:
    """Replace a webhook's settings. Raises Invalid, NotFound."""
    _check(settings, development)
    webhook = load(log, tenant_id, webhook_id)
    webhook.configure(settings)
    log.record(webhook, context)


def enable(log: Log, context: Context, tenant_id: UUID, webhook_id: UUID) -> None:
    """Send again. Raises NotFound."""
    webhook = load(log, tenant_id, webhook_id)
    webhook.enable()
    log.record(webhook, context)


def disable(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    reason: DisabledReason,
    note: str | None = None,
) -> bool:
    """Attempt nothing more; whether this call did it. Raises NotFound."""
    webhook = load(log, tenant_id, webhook_id)
    was_enabled = webhook.is_enabled
    webhook.disable(reason, note)
    log.record(webhook, context)
    return was_enabled


def delete(log: Log, context: Context, tenant_id: UUID, webhook_id: UUID) -> None:
    """End a webhook. Raises NotFound."""
    webhook = load(log, tenant_id, webhook_id)
    webhook.delete()
    log.record(webhook, context)


def declare(
    log: Log,
    context: Context,
    tenant_id: UUID,
    name: str,
    *,
    description: str | None,
    example: dict[str, Any] | None,
    deprecated: bool,
) -> None:
    """Describe an event type, anew or again. The name has been checked."""
    originator_id = event_type.originator_id(tenant_id, name)
    try:
        declared = log.load(EventType, originator_id)
        declared.describe(description, example, deprecated)
    except NotFound:
        declared = EventType(
            id=originator_id,
            type=name,
            description=description,
            example=example,
            deprecated=deprecated,
        )
    log.record(declared, context)


def load(log: Log, tenant_id: UUID, webhook_id: UUID) -> Subscription:
    """The webhook as it is now; a deleted one is an absent one. Raises NotFound."""
    webhook = log.load(Subscription, subscription.originator_id(tenant_id, webhook_id))
    if webhook.is_deleted:
        raise NotFound
    return webhook


def _check(settings: Settings, development: bool) -> None:
    if faults := rules.check(settings, development=development):
        raise Invalid(faults)
