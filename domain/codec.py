"""Domain events as stored bytes: plain JSON of their own fields, by msgspec.

What has a column of the log (id, version, time) is left out of the state; so the state is
what an integrator may read as `data`. Topics resolve only when the catalogue registered
them: the library would otherwise import any module that a row names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from eventsourcing.domain import CanInitAggregate, DomainEventProtocol
from eventsourcing.persistence import (
    Cipher,
    Compressor,
    Mapper,
    StoredEvent,
    Transcoder,
)
from eventsourcing.utils import get_topic, resolve_topic

from domain.log.entry import PUBLISHED
from domain.model import PLATFORM, tenant_and_stream

_COLUMNS = ("originator_id", "originator_version", "originator_topic", "timestamp")


class UnknownTopic(LookupError):
    """A newer program wrote the event: this one lacks its topic, or its version of it."""


class OfPublishers(LookupError):
    """A publisher began the stream, perhaps before there was an aggregate for such ones."""


@dataclass(frozen=True)
class DatedEvent(StoredEvent):
    """A stored event with the column that the library keeps in its state."""

    occurred_at: datetime


class JSONTranscoder(Transcoder):
    """msgspec's JSON: numbers, texts, lists, objects, times and UUIDs."""

    def encode(self, obj: Any) -> bytes:
        """Any of the above as bytes."""
        return msgspec.json.encode(obj)

    def decode(self, data: bytes) -> Any:
        """The inverse, with times and UUIDs as text: events say what they expect."""
        return msgspec.json.decode(data)


class LogMapper(Mapper[str]):
    """Between domain events and rows of the log."""

    def __init__(
        self,
        transcoder: Transcoder,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        *,
        aggregates: Mapping[str, str],
    ) -> None:
        """`aggregates`: the topic of each event -> that of its aggregate."""
        super().__init__(transcoder, compressor, cipher)
        self.aggregates = aggregates

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> DatedEvent:
        """The row of a domain event."""
        state = {k: v for k, v in vars(domain_event).items() if k not in _COLUMNS}
        version = getattr(type(domain_event), "class_version", 1)
        if version > 1:
            state["class_version"] = version
        return DatedEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event)),
            state=self.transcoder.encode(state),
            occurred_at=vars(domain_event)["timestamp"],
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """The domain event of a row; raises UnknownTopic, OfPublishers."""
        topic = stored_event.topic
        if topic == PUBLISHED and _begins_anybodys(stored_event):
            raise OfPublishers
        if topic not in self.aggregates:
            raise UnknownTopic(f"no event of this program is called {topic!r}")
        cls: type[Any] = resolve_topic(topic)
        state = self.transcoder.decode(stored_event.state)
        state["originator_id"] = stored_event.originator_id
        state["originator_version"] = stored_event.originator_version
        _upcast(cls, state)
        if isinstance(stored_event, DatedEvent):
            state["timestamp"] = stored_event.occurred_at
        if issubclass(cls, CanInitAggregate):
            state["originator_topic"] = self.aggregates[topic]
        event: DomainEventProtocol[str] = object.__new__(cls)
        object.__setattr__(event, "__dict__", state)
        return event


def _begins_anybodys(stored_event: StoredEvent) -> bool:
    """Whether it is the first of a stream that publishers can name; ours they cannot."""
    _, stream = tenant_and_stream(str(stored_event.originator_id))
    return stored_event.originator_version == 1 and not stream.startswith(PLATFORM)


def _upcast(cls: type[Any], state: dict[str, Any]) -> None:
    """Bring an event's state to the version of today's class, one step at a time."""
    stored, known = state.pop("class_version", 1), getattr(cls, "class_version", 1)
    if stored > known:
        raise UnknownTopic(f"{get_topic(cls)!r} is of version {stored}, not {known}")
    for version in range(stored, known):
        getattr(cls, f"upcast_v{version}_v{version + 1}")(state)
