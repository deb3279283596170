"""A delivery's body, from stored bytes: as a worker sends it, and the API shows it again.

It is a function of what the log holds: of the event, of the format of the version by which
it was owed, and of the fields its type kept from bodies at its position. So it need not be
kept, and rendered again it is the same to the last byte.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from domain import ids, redaction, traces
from domain.traces import Trace
from domain.webhooks import body
from domain.webhooks.body import Rendered
from domain.webhooks.settings import Format


class Content(Protocol):
    """What a body is made of. `version` is the event's in its stream."""

    position: int
    event_id: str
    type: str
    stream: str
    version: int
    state: bytes
    metadata: bytes | None
    source: str | None
    source_id: str | None
    subject: str | None
    correlation_id: str | None
    causation_id: str | None
    occurred_at: datetime
    trace: bytes | None
    secret_fields: Sequence[str] | None
    format: Format


def cause(tenant_id: UUID, of: Content) -> Trace:
    """What published the event, as a span; the body names it, the same on every attempt."""
    return traces.of_event(of.trace, tenant_id, of.event_id)


def render(tenant_id: UUID, of: Content, published: Trace) -> Rendered:
    """The body; `published` is its cause."""
    event = body.Event(
        id=of.event_id,
        type=of.type,
        occurred_at=of.occurred_at,
        data=_data(of),
        stream=of.stream,
        version=of.version,
        position=of.position,
        subject=of.subject,
        tenant_id=_tenant(tenant_id),
        metadata=of.metadata,
        source=of.source,
        source_id=of.source_id,
        correlation_id=of.correlation_id,
        causation_id=of.causation_id,
        traceparent=published.header(),
    )
    return body.render(event, of.format)


def _data(of: Content) -> bytes:
    """The event's data, without what its type keeps from bodies."""
    if not of.secret_fields:
        return of.state
    return redaction.without(of.state, of.secret_fields)


@lru_cache(maxsize=4096)
def _tenant(tenant_id: UUID) -> str:
    return ids.encode("ten", tenant_id)
