"""A consumer: a standing wish for events, pulled over HTTP.

Where it begins, and where somebody puts it, are facts and stand in the log. How far it has
acknowledged does not: each acknowledgement would be an event, which moves the log that the
consumer follows.
"""

import re
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import event
from msgspec import Struct

from domain import model, patterns, payload_filter
from domain.errors import Fault
from domain.grammar import Rule
from domain.model import Aggregate

MOST_CONSUMERS = 100  # a tenant
STREAM = "$consumer/"
NAME = Rule(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"),
    64,
    "a name is 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a letter or a digit",
)


class Settings(Struct, frozen=True, kw_only=True):
    """Which events it is given; left out means all but Daybook's own."""

    event_types: list[str] = msgspec.field(
        default_factory=lambda: [patterns.EVERYTHING]
    )
    streams: list[str] = msgspec.field(default_factory=lambda: [patterns.EVERYTHING])
    filter: dict[str, Any] | None = None


class Consumer(Aggregate):
    """A consumer's configuration. `start` is the place that was asked for; `position` the
    last one before it, or None for that of the event itself."""

    TOPIC = "daybook/consumer"

    @event("Created", topic="daybook.consumer.created")
    def __init__(
        self,
        id: str,
        name: str,
        settings: dict[str, Any],
        start: Any,
        position: int | None,
    ) -> None:
        self._set(settings, start)

    @event("Recreated", topic="daybook.consumer.recreated")
    def recreate(
        self, settings: dict[str, Any], start: Any, position: int | None
    ) -> None:
        """Begin anew under the name of one that was deleted."""
        self._set(settings, start)

    def configure(self, settings: dict[str, Any]) -> None:
        """Replace the settings, wherever it stands; nothing when nothing differs."""
        if settings != self.settings:
            self._configure(settings)

    @event("Configured", topic="daybook.consumer.updated")
    def _configure(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    @event("Moved", topic="daybook.consumer.moved")
    def seek(self, to: Any, position: int | None) -> None:
        """Put it somewhere: what comes after `position` is given to it next."""

    def delete(self) -> None:
        """End it. Nothing happens when it has ended."""
        if not self.is_deleted:
            self._delete()

    @event("Deleted", topic="daybook.consumer.deleted")
    def _delete(self) -> None:
        self.is_deleted = True

    def _set(self, settings: dict[str, Any], start: Any) -> None:
        self.settings, self.start = settings, start
        self.is_deleted = False


def originator_id(tenant_id: UUID, name: str) -> str:
    """Its stream: `$consumer/<name>`."""
    return model.originator_id(tenant_id, f"{STREAM}{name}")


def check(settings: Settings) -> list[Fault]:
    """What is wrong with the settings, each fault with its place."""
    return [
        *patterns.check(settings.event_types),
        *patterns.check_streams(settings.streams),
        *payload_filter.check(settings.filter),
    ]
