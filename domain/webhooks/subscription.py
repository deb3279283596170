"""A webhook: a standing wish for events, pushed over HTTP."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from eventsourcing.domain import event
from msgspec import Struct

from domain import grammar, ids, model, patterns
from domain.errors import Fault
from domain.model import Aggregate
from domain.webhooks import address, retry

DisabledReason = Literal["manual", "gone", "failures"]

MOST_WEBHOOKS = 100  # a tenant


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant sets; left out means its default."""

    url: str
    event_types: list[str]
    name: str | None = None
    description: str | None = None
    retry: str = retry.DEFAULT
    timeout_seconds: int = 15
    max_in_flight: int = 10
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class Subscription(Aggregate):
    """A webhook's configuration and whether it is on; what it is owed stands elsewhere."""

    TOPIC = "daybook/webhook"

    @event("Created", topic="daybook.webhook.created")
    def __init__(self, id: str, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.is_enabled = True
        self.is_deleted = False

    def configure(self, settings: Settings) -> None:
        """Replace the settings; nothing happens when nothing differs."""
        plain = msgspec.to_builtins(settings)
        if plain != self.settings:
            self._configure(plain)

    @event("Updated", topic="daybook.webhook.updated")
    def _configure(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def enable(self) -> None:
        """Send again, beginning with what waited. Nothing happens when it is on."""
        if not self.is_enabled:
            self._enable()

    @event("Enabled", topic="daybook.webhook.enabled")
    def _enable(self) -> None:
        self.is_enabled = True

    def disable(self, reason: DisabledReason, note: str | None = None) -> None:
        """Attempt nothing more; what is owed waits. Nothing happens when it is off."""
        if self.is_enabled:
            self._disable(reason, note)

    @event("Disabled", topic="daybook.webhook.disabled")
    def _disable(self, reason: str, note: str | None) -> None:
        self.is_enabled = False

    def delete(self) -> None:
        """End it; what is owed is cancelled."""
        if not self.is_deleted:
            self._delete()

    @event("Deleted", topic="daybook.webhook.deleted")
    def _delete(self) -> None:
        self.is_deleted = True


def originator_id(tenant_id: UUID, webhook_id: UUID) -> str:
    """Its stream: `$webhook/wh_...`."""
    return model.originator_id(tenant_id, stream(webhook_id))


def stream(webhook_id: UUID) -> str:
    """The stream of a webhook within its tenant's log."""
    return f"$webhook/{ids.encode('wh', webhook_id)}"


def check(settings: Settings, *, development: bool) -> list[Fault]:
    """What is wrong with the settings, each fault with its place."""
    faults: list[Fault] = []
    if reason := address.check_url(settings.url, development=development):
        faults.append(Fault("#/url", "url_refused", reason))
    faults += patterns.check(settings.event_types)
    faults += _check_names(settings)
    if settings.retry not in retry.PRESETS:
        known = ", ".join(retry.PRESETS)
        faults.append(Fault("#/retry", "invalid", f"one of: {known}"))
    faults += _check_range("#/timeout_seconds", settings.timeout_seconds, 1, 30)
    faults += _check_range("#/max_in_flight", settings.max_in_flight, 1, 50)
    faults += grammar.check_metadata(msgspec.json.encode(settings.metadata))
    return faults


def _check_names(settings: Settings) -> list[Fault]:
    faults: list[Fault] = []
    if settings.name is not None:
        faults += grammar.check_name(settings.name)
    if settings.description is not None:
        faults += grammar.check_description(settings.description)
    return faults


def _check_range(pointer: str, value: int, low: int, high: int) -> list[Fault]:
    if low <= value <= high:
        return []
    return [Fault(pointer, "invalid", f"from {low} to {high}")]
