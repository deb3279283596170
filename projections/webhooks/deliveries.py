"""What the API reads of one delivery, and of its attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.ids import DeliveryKey
from domain.webhooks.delivery import State
from domain.webhooks.settings import Format
from projections import rows
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "deliveries.sql")


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
    webhook_version: int
    snippet_key_id: str | None
    snippet: bytes | None


@dataclass(slots=True)
class Content:
    """What a delivery's body is made of, and what more its requests carried.

    `header_names` are those that the webhook has had since its version `headers_version`.
    """

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
    header_names: list[str]
    headers_version: int
    fresh_ids: bool


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


async def content(connection: Connection, tenant_id: UUID, of: Delivery) -> Content:
    """What its body is made of; the log has it as long as there is a log."""
    params = _place(tenant_id, of) | {"webhook_version": of.webhook_version}
    [found] = await rows.many(
        connection, Content, QUERIES["content"], params, binary=True
    )
    return found


def _place(tenant_id: UUID, of: Delivery) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "webhook_id": of.webhook_id,
        "replay": of.replay,
        "position": of.position,
    }
