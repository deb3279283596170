"""A webhook: a standing wish for events, pushed over HTTP."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from eventsourcing.domain import event

from domain import ids, model
from domain.model import Aggregate
from domain.webhooks.settings import Settings

DisabledReason = Literal["manual", "gone", "failures"]
Resume = Literal["continue", "skip"]

MOST_WEBHOOKS = 100  # a tenant

# What version 1 of the settings did not have, with the value it behaved like. Written out:
# the defaults of today's Settings may change, the meaning of old events may not.
_NEW_IN_2: dict[str, Any] = {
    "streams": ["*"],
    "filter": None,
    "header_names": [],
    "headers_version": 0,
    "format": "standard",
    "signing": ["v1"],
    "rate_per_second": None,
    "ordering": "none",
    "on_dead": "continue",
    "disable_after": {"failures": 10, "over_seconds": 86_400},
    "keep_response": False,
    "networks": None,
}


def _settings_of_2(state: dict[str, Any]) -> None:
    state["settings"] = state["settings"] | _NEW_IN_2


class Subscription(Aggregate):
    """A webhook's configuration and whether it is on; what it is owed stands elsewhere."""

    TOPIC = "daybook/webhook"

    class Created(Aggregate.Created):
        """It begins, with these settings."""

        TOPIC = "daybook.webhook.created"
        class_version = 2

        settings: dict[str, Any]

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 had fewer settings."""
            _settings_of_2(state)

    class Configured(Aggregate.Event):
        """Its settings are replaced by these."""

        TOPIC = "daybook.webhook.updated"
        class_version = 2

        settings: dict[str, Any]

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 had fewer settings."""
            _settings_of_2(state)

    class Resumed(Aggregate.Event):
        """It sends again: what waited, in order, or only what comes from now on."""

        TOPIC = "daybook.webhook.enabled"
        class_version = 2

        resume: Resume

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew nothing else."""
            state["resume"] = "continue"

    @event(Created)
    def __init__(self, id: str, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.is_enabled = True
        self.is_deleted = False

    def configure(self, settings: Settings) -> None:
        """Replace the settings; nothing happens when nothing differs."""
        plain = msgspec.to_builtins(settings)
        if plain != self.settings:
            self._configure(plain)

    @event(Configured)
    def _configure(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def rotate_secret(self, previous_expires_at: str) -> None:
        """Sign with other secrets; those before them sign as well until then.

        The secrets themselves are riders: none of them is ever in the log.
        """
        self._rotate_secret(previous_expires_at)

    @event("SecretRotated", topic="daybook.webhook.secret_rotated")
    def _rotate_secret(self, previous_expires_at: str) -> None:
        """Nothing of it is kept here."""

    def enable(self, resume: Resume = "continue") -> None:
        """Send again: what waited too, or skip it. Nothing happens when it is on."""
        if not self.is_enabled:
            self._enable(resume)

    @event(Resumed)
    def _enable(self, resume: Resume) -> None:
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
