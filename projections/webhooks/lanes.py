"""Lanes and what is owed in them: the statements a worker runs, with their types.

A lane is owned by one worker at a time. Every statement that changes something names the
epoch under which the worker took the lane; one with an old epoch changes nothing. So a
worker that was stopped and comes back, or whose connection was lost, cannot do harm.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from domain.webhooks.settings import Format
from projections.sql import Queries

OWNING = Queries("projections.webhooks", "owning.sql")
QUERIES = Queries("projections.webhooks", "lanes.sql")
ENDING = Queries("projections.webhooks", "ending.sql")


class LaneKey(NamedTuple):
    """Which lane: a webhook's live deliveries (replay 0), or one replay of it."""

    tenant_id: UUID
    webhook_id: UUID
    replay: int


class Due(Protocol):
    """A delivery whose next attempt begins now, with what its body is made of.

    `lane`: which of those that were asked for, from 1. `number` counts all attempts,
    `base` those before it was redriven. `ordered` is the stream, where its order is kept.
    `webhook_version` is the webhook's now, `format` that of the version by which the event
    was owed. Number 0: a row that waits for its stream; it was only looked at, and has
    nothing else.
    """

    lane: int
    position: int
    recorded_at: datetime
    sequence: int | None
    trigger: str
    number: int
    base: int
    once: bool
    format: Format
    ordered: str | None
    webhook_version: int
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


class Settlement(Struct, frozen=True, kw_only=True):
    """What came of one attempt, and what follows; the columns of `settle`.

    `state` is a delivery's, or held: dead, with its stream waiting behind it. Bytes are
    written as Postgres reads them: `\\x` and hexadecimal digits.
    """

    tenant_id: UUID
    webhook_id: UUID
    replay: int
    epoch: int
    position: int
    number: int
    recorded_at: datetime
    trigger: str
    outcome: str
    started_at: datetime
    duration_ms: float
    status_code: int | None
    error: str | None
    detail: str
    retry_after_seconds: int | None
    webhook_version: int
    secret_version: int | None
    body_bytes: int
    body_sha256: str
    response_headers: Mapping[str, str]
    response_bytes: int
    snippet_key_id: str | None
    snippet: str | None
    state: str
    delay: float | None
    made: bool
    tells: bool


_ENCODER = msgspec.json.Encoder()


def settle_params(settlements: Sequence[Settlement]) -> dict[str, str]:
    """The parameter of `settle`: one text. A list a column costs ten times the CPU here,
    and the server reads the one as quickly as the other."""
    return {"settlements": _ENCODER.encode(settlements).decode()}


def key_params(keys: Iterable[LaneKey]) -> dict[str, list[Any]]:
    """The parameters of statements over several lanes."""
    tenants, webhooks, replays = [], [], []
    for key in keys:
        tenants.append(key.tenant_id)
        webhooks.append(key.webhook_id)
        replays.append(key.replay)
    return {"tenants": tenants, "webhooks": webhooks, "replays": replays}


def key_of(row: Any) -> LaneKey:
    """Which lane a row is of."""
    return LaneKey(row.tenant_id, row.webhook_id, row.replay)
