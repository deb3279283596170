"""What can be done to webhooks and event types."""

from uuid import UUID

import msgspec

from domain import ids
from domain.application import Log
from domain.errors import Invalid, NotFound
from domain.log.entry import Context
from domain.webhooks import deaths, event_type, replay, subscription
from domain.webhooks import settings as rules
from domain.webhooks.address import HTTPS_PORTS
from domain.webhooks.deaths import Deaths
from domain.webhooks.event_type import Declaration, EventType
from domain.webhooks.replay import Kind, Replay, Wanted
from domain.webhooks.settings import Settings
from domain.webhooks.subscription import DisabledReason, Resume, Subscription


def create(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    settings: Settings,
    *,
    start: Wanted | None = None,
    development: bool = False,
    ports: frozenset[int] = HTTPS_PORTS,
) -> None:
    """Begin a webhook; it is owed what is appended from now on. Raises Invalid.

    `start`: and, as a replay of its own, what is older.
    """
    _check(settings, development, ports)
    webhook = Subscription(
        id=subscription.originator_id(tenant_id, webhook_id),
        settings=msgspec.to_builtins(settings),
    )
    if start is None:
        log.record(webhook, context)
    else:
        older = _requested(tenant_id, webhook_id, ids.new(), "start", start)
        log.record_all([webhook, older], context)


def configure(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    settings: Settings,
    *,
    development: bool = False,
    ports: frozenset[int] = HTTPS_PORTS,
) -> None:
    """Replace a webhook's settings. Raises Invalid, NotFound."""
    _check(settings, development, ports)
    webhook = load(log, tenant_id, webhook_id)
    webhook.configure(settings)
    log.record(webhook, context)


def enable(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    resume: Resume = "continue",
) -> None:
    """Send again. Raises NotFound."""
    webhook = load(log, tenant_id, webhook_id)
    webhook.enable(resume)
    log.record(webhook, context)


def request_replay(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    replay_id: UUID,
    wanted: Wanted,
) -> None:
    """Owe events of the past to a webhook. Raises NotFound."""
    load(log, tenant_id, webhook_id)
    log.record(_requested(tenant_id, webhook_id, replay_id, "replay", wanted), context)


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
    declaration: Declaration,
) -> None:
    """Declare an event type, anew or again. The name has been checked. Raises Invalid."""
    originator_id = event_type.originator_id(tenant_id, name)
    try:
        declared = log.load(EventType, originator_id)
        declared.declare(declaration)
    except NotFound:
        declared = EventType.begin(originator_id, name, declaration)
    log.record(declared, context)


def end_replay(
    log: Log, context: Context, tenant_id: UUID, webhook_id: UUID, replay_id: UUID
) -> None:
    """Owe nothing more of a replay, and cancel what waits. Raises NotFound."""
    found = _replay(log, tenant_id, webhook_id, replay_id)
    found.cancel()
    log.record(found, context)


def complete_replay(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    replay_id: UUID,
    *,
    handed_off: int,
    succeeded: int,
    dead: int,
) -> None:
    """A replay has done what it was asked for. Raises NotFound."""
    found = _replay(log, tenant_id, webhook_id, replay_id)
    found.complete(handed_off, succeeded, dead)
    log.record(found, context)


def report_deaths(
    log: Log,
    context: Context,
    tenant_id: UUID,
    webhook_id: UUID,
    number: int,
    *,
    count: int,
    since: str,
    last_position: int,
) -> None:
    """Tell of dead deliveries; `number` counts the webhook's reports from 1."""
    report = Deaths(
        id=deaths.originator_id(tenant_id, webhook_id, number),
        webhook_id=ids.encode("wh", webhook_id),
        count=count,
        since=since,
        last_position=last_position,
    )
    log.record(report, context)


def load(log: Log, tenant_id: UUID, webhook_id: UUID) -> Subscription:
    """The webhook as it is now; a deleted one is an absent one. Raises NotFound."""
    webhook = log.load(Subscription, subscription.originator_id(tenant_id, webhook_id))
    if webhook.is_deleted:
        raise NotFound
    return webhook


def _requested(
    tenant_id: UUID, webhook_id: UUID, replay_id: UUID, kind: Kind, wanted: Wanted
) -> Replay:
    return Replay(
        id=replay.originator_id(tenant_id, webhook_id, replay_id),
        kind=kind,
        **msgspec.structs.asdict(wanted),
    )


def _replay(log: Log, tenant_id: UUID, webhook_id: UUID, replay_id: UUID) -> Replay:
    return log.load(Replay, replay.originator_id(tenant_id, webhook_id, replay_id))


def _check(settings: Settings, development: bool, ports: frozenset[int]) -> None:
    if faults := rules.check(settings, development=development, ports=ports):
        raise Invalid(faults)
