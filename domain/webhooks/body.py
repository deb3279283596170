"""The bytes a receiver gets: the same for one event, on every attempt and replay."""

from datetime import datetime

import msgspec

from domain import clock

_ENCODER = msgspec.json.Encoder()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a body tells of an event; `data` and `metadata` are JSON as stored."""

    id: str
    type: str
    occurred_at: datetime
    data: bytes
    stream: str | None
    version: int | None
    position: int | None
    subject: str | None
    tenant_id: str
    metadata: bytes


class _Standard(msgspec.Struct, frozen=True):
    """The members of the format `standard`, in the order of the contract."""

    id: str
    type: str
    timestamp: str
    data: msgspec.Raw
    stream: str | None
    version: int | None
    position: int | None
    subject: str | None
    tenant_id: str
    metadata: msgspec.Raw


def standard(event: Event) -> bytes:
    """The body of format `standard`; stored bytes are spliced in, never re-encoded."""
    return _ENCODER.encode(
        _Standard(
            id=event.id,
            type=event.type,
            timestamp=clock.rfc3339(event.occurred_at),
            data=msgspec.Raw(event.data),
            stream=event.stream,
            version=event.version,
            position=event.position,
            subject=event.subject,
            tenant_id=event.tenant_id,
            metadata=msgspec.Raw(event.metadata),
        )
    )
