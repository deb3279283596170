"""An event type somebody declared: what its events mean, and an example of one."""

from typing import Any
from uuid import UUID

from eventsourcing.domain import event

from domain import model
from domain.model import Aggregate

STREAM = "$event-type/"


def originator_id(tenant_id: UUID, event_type: str) -> str:
    """Its stream: `$event-type/<type>`."""
    return model.originator_id(tenant_id, f"{STREAM}{event_type}")


class EventType(Aggregate):
    """A tenant's description of one of its event types."""

    TOPIC = "daybook/event-type"

    class Redeclared(Aggregate.Event):
        """The type's new description.

        Version 1 left out which type it is of; that could be read from the stream's name
        only, which is ours alone.
        """

        TOPIC = "daybook.event_type.updated"
        class_version = 2

        type: str
        description: str | None
        example: dict[str, Any] | None
        deprecated: bool

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """The stream is the type's."""
            _, stream = model.tenant_and_stream(state["originator_id"])
            state["type"] = stream.removeprefix(STREAM)

    @event("Created", topic="daybook.event_type.declared")
    def __init__(
        self,
        id: str,
        type: str,
        description: str | None,
        example: dict[str, Any] | None,
        deprecated: bool,
    ) -> None:
        self.type = type
        self._describe(description, example, deprecated)

    def describe(
        self,
        description: str | None,
        example: dict[str, Any] | None,
        deprecated: bool,
    ) -> None:
        """Replace the description; nothing happens when nothing differs."""
        same = (self.description, self.example, self.deprecated)
        if (description, example, deprecated) != same:
            self._redeclare(self.type, description, example, deprecated)

    @event(Redeclared)
    def _redeclare(
        self,
        type: str,
        description: str | None,
        example: dict[str, Any] | None,
        deprecated: bool,
    ) -> None:
        self._describe(description, example, deprecated)

    def _describe(
        self,
        description: str | None,
        example: dict[str, Any] | None,
        deprecated: bool,
    ) -> None:
        self.description = description
        self.example = example
        self.deprecated = deprecated
