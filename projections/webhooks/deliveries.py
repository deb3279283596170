"""What the API reads of deliveries and attempts, and a retry asked for by hand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.ids import DeliveryKey
from domain.webhooks.delivery import State
from projections import rows
from projections.log import views as log
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "deliveries.sql")
# How many positions a page looks at first. A filter that few deliveries pass makes the
# next look wider and wider, so a page costs a few statements however rare they are.
SPAN, WIDER = 500, 8


class Delivery(NamedTuple):
    """A delivery as it is now; `number` is its webhook's."""

    position: int
    number: int
    webhook_id: UUID
    replay: int
    webhook_version: int
    sequence: int | None
    state: State
    attempts: int
    next_attempt_at: datetime | None
    status_code: int | None
    error: str | None
    finished_at: datetime | None
    event_id: str
    type: str
    stream: str
    webhook_state: str
    replay_id: UUID | None
    created_at: datetime
    is_owed: bool

    @property
    def key(self) -> DeliveryKey:
        """What its id names."""
        return DeliveryKey(self.position, self.number, self.replay)


class Attempt(NamedTuple):
    """One HTTP request; `response_bytes` is None when no answer came."""

    number: int
    trigger: str
    started_at: datetime
    duration_ms: float | None
    status_code: int | None
    error: str | None
    detail: str | None
    retry_after_seconds: int | None
    body_bytes: int | None
    body_sha256: bytes | None
    response_headers: dict[str, str] | None
    response_bytes: int | None


class Selection(NamedTuple):
    """Which deliveries: of the events at `first` to `last`, that pass all filters."""

    first: int
    last: int
    webhook_id: UUID | None = None
    states: Sequence[str] | None = None
    types: Sequence[str] | None = None
    status_code: int | None = None


class Key(NamedTuple):
    """A place in the list of deliveries; it never changes."""

    position: int
    number: int


class _Span(NamedTuple):
    """Where to look next; `positions` when only some of them are of the right types."""

    first: int
    last: int
    positions: list[int] | None = None


async def deliveries(
    connection: Connection,
    tenant_id: UUID,
    selection: Selection,
    key: Key,
    *,
    limit: int,
    newer: bool,
) -> list[Delivery]:
    """The deliveries next to `key`, nearest first: older ones, or newer ones."""
    found: list[Delivery] = []
    params = _params(tenant_id, selection) | {
        "key_position": key.position,
        "key_number": key.number,
        "sign": 1 if newer else -1,
    }
    low = max(selection.first, key.position) if newer else selection.first
    high = selection.last if newer else min(selection.last, key.position)
    size = SPAN
    while low <= high and len(found) < limit:
        span = await _next_span(
            connection, tenant_id, selection, _Span(low, high), size, newer=newer
        )
        params |= span._asdict() | {"limit": limit - len(found)}
        # Its best plan depends on which filters are given: it must not be kept.
        found += await rows.many(
            connection, Delivery, QUERIES["deliveries"], params, prepare=False
        )
        low, high = (span.last + 1, high) if newer else (low, span.first - 1)
        size *= WIDER
    return found


async def _next_span(
    connection: Connection,
    tenant_id: UUID,
    selection: Selection,
    left: _Span,
    size: int,
    *,
    newer: bool,
) -> _Span:
    """The next so many positions of those that are left, in the direction of reading."""
    low, high = left.first, left.last
    if selection.types is None:
        if newer:
            return _Span(low, min(low + size - 1, high))
        return _Span(max(high - size + 1, low), high)
    events = log.Selection(low - 1, high + 1, selection.types)
    found = await log.positions(
        connection, tenant_id, events, limit=size, backwards=not newer
    )
    if len(found) < size:  # there are no more
        return _Span(low, high, found)
    return _Span(low, found[-1], found) if newer else _Span(found[-1], high, found)


async def delivery(
    connection: Connection, tenant_id: UUID, key: DeliveryKey
) -> Delivery | None:
    """One delivery."""
    params = {
        "tenant_id": tenant_id,
        "position": key.position,
        "number": key.webhook_number,
        "replay": key.replay,
    }
    return await rows.first(connection, Delivery, QUERIES["delivery"], params)


async def attempts(
    connection: Connection, tenant_id: UUID, of: Delivery
) -> list[Attempt]:
    """The attempts of a delivery, in order."""
    return await rows.many(
        connection, Attempt, QUERIES["attempts"], _place(tenant_id, of)
    )


def _place(tenant_id: UUID, of: Delivery) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "webhook_id": of.webhook_id,
        "replay": of.replay,
        "position": of.position,
    }


def _params(tenant_id: UUID, selection: Selection) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "webhook_id": selection.webhook_id,
        "states": selection.states,
        "status_code": selection.status_code,
    }
