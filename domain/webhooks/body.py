"""What a receiver gets, in each format: the same for one event, on every attempt.

CloudEvents 1.0.2 and its HTTP binding:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from domain import clock
from domain.log import entry
from domain.webhooks.settings import Format

JSON = "application/json"
CLOUDEVENTS = "application/cloudevents+json"
NO_METADATA = b"{}"

_ENCODER = msgspec.json.Encoder()
# Binding, section 3.1.3.2: a header holds U+0021 to U+007E, without these.
_HEADER_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What can be told of an event; `data` and `metadata` are JSON as stored."""

    id: str
    type: str
    occurred_at: datetime
    data: bytes
    stream: str | None
    version: int | None
    position: int | None
    subject: str | None
    tenant_id: str
    metadata: bytes | None
    source: str | None = None
    source_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


class Rendered(NamedTuple):
    """A body, and the headers that say how to read it."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes


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


class _Attributes(msgspec.Struct, frozen=True):
    """The attributes of a CloudEvent, all of them strings: an Integer there ends at 2^31.
    One without a value is left out; null is no value there."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str
    tenantid: str
    subject: str | UnsetType
    stream: str | UnsetType
    streamversion: str | UnsetType
    position: str | UnsetType
    correlationid: str | UnsetType
    causationid: str | UnsetType
    traceparent: str | UnsetType


def render(event: Event, form: Format) -> Rendered:
    """The event in a format; stored bytes are spliced in, never re-encoded."""
    return _RENDERERS[form](event)


def standard(event: Event) -> bytes:
    """The body of format `standard`."""
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
            metadata=msgspec.Raw(event.metadata or NO_METADATA),
        )
    )


def header_value(text: str) -> str:
    """An attribute as it stands in a header: what may not, percent-encoded as UTF-8."""
    return quote(text, safe=_HEADER_SAFE)


def _standard(event: Event) -> Rendered:
    return Rendered(JSON, {}, standard(event))


def _raw(event: Event) -> Rendered:
    return Rendered(JSON, {}, event.data)


def _cloudevents(event: Event) -> Rendered:
    attributes = _ENCODER.encode(_attributes(event))
    return Rendered(CLOUDEVENTS, {}, attributes[:-1] + b',"data":' + event.data + b"}")


def _cloudevents_binary(event: Event) -> Rendered:
    attributes: dict[str, str] = msgspec.to_builtins(_attributes(event))
    content_type = attributes.pop("datacontenttype")
    headers = {f"ce-{name}": header_value(text) for name, text in attributes.items()}
    return Rendered(content_type, headers, event.data)


def _attributes(event: Event) -> _Attributes:
    return _Attributes(
        specversion="1.0",
        id=event.source_id or event.id,
        source=event.source or entry.DEFAULT_SOURCE,
        type=event.type,
        time=clock.rfc3339(event.occurred_at),
        datacontenttype=JSON,
        tenantid=event.tenant_id,
        subject=_or_unset(event.subject),
        stream=_or_unset(event.stream),
        streamversion=_or_unset(event.version),
        position=_or_unset(event.position),
        correlationid=_or_unset(event.correlation_id),
        causationid=_or_unset(event.causation_id),
        traceparent=_or_unset(event.traceparent),
    )


def _or_unset(value: str | int | None) -> str | UnsetType:
    return UNSET if value is None else str(value)


_RENDERERS: Mapping[Format, Callable[[Event], Rendered]] = {
    "standard": _standard,
    "raw": _raw,
    "cloudevents": _cloudevents,
    "cloudevents_binary": _cloudevents_binary,
}
