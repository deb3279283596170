"""What the API reads of webhooks and event types, and the test deliveries it waits for."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.webhooks import subscription
from domain.webhooks.settings import Format, OnDead, Ordering, Scheme
from domain.webhooks.subscription import DisabledReason
from projections import postgres, rows
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "views.sql")


class Webhook(NamedTuple):
    """A webhook as it is now."""

    webhook_id: UUID
    number: int
    url: str
    name: str | None
    description: str | None
    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None
    header_names: list[str]
    headers_version: int
    format: Format
    signing: list[Scheme]
    retry: str | dict[str, Any]
    timeout_seconds: int
    rate_per_second: float | None
    max_in_flight: int
    ordering: Ordering
    on_dead: OnDead
    disable_failures: int
    disable_over_seconds: int
    keep_response: bool
    networks: list[str] | None
    metadata: dict[str, Any]
    state: str
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    disabled_position: int | None
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    is_failing: bool
    is_open: bool
    public_key: str | None


class Rules(NamedTuple):
    """What a webhook matches events by."""

    webhook_id: UUID
    state: str
    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None


class Past(NamedTuple):
    """What a webhook's events up to a version say beside its settings.

    `topic` is that of the last switch, with its state as stored; None: there was none.
    """

    created_at: datetime
    created_by: str
    updated_at: datetime
    topic: str | None
    switched_at: datetime | None
    switched_at_position: int | None
    switched: bytes | None
    public_key: str | None


class EventType(NamedTuple):
    """What a tenant declared about a type of event."""

    type: str
    description: str | None
    schema: dict[str, Any] | None
    schema_version: int | None
    example: dict[str, Any] | None
    deprecated: bool
    secret_fields: list[str]


class Schemas(NamedTuple):
    """Which of a tenant's event types have a schema, and which version of it.

    `head` is where the tenant's catalogue was changed last.
    """

    head: int
    types: list[str]
    versions: list[int]


class Test(NamedTuple):
    """How far a test delivery is."""

    is_taken: bool
    answer: dict[str, Any] | None


async def webhook(
    connection: Connection, tenant_id: UUID, webhook_id: UUID
) -> Webhook | None:
    """One webhook; a deleted one is an absent one."""
    params = {"tenant_id": tenant_id, "webhook_id": webhook_id}
    return await rows.first(connection, Webhook, QUERIES["webhook"], params)


async def webhooks(
    connection: Connection,
    tenant_id: UUID,
    key: int | None,
    *,
    limit: int,
    backwards: bool,
) -> list[Webhook]:
    """Webhooks after the one with number `key`, or before it, nearest first."""
    query = QUERIES["webhooks_before" if backwards else "webhooks"]
    params = {"tenant_id": tenant_id, "key": key, "limit": limit}
    return await rows.many(connection, Webhook, query, params)


async def to_match(connection: Connection, tenant_id: UUID) -> list[Rules]:
    """All webhooks, oldest first."""
    params = {"tenant_id": tenant_id}
    return await rows.many(connection, Rules, QUERIES["to_match"], params)


async def webhook_as_of(
    connection: Connection, tenant_id: UUID, webhook_id: UUID, version: int
) -> Past | None:
    """What the events of a webhook up to a version say; None: it has no such version."""
    params = {
        "tenant_id": tenant_id,
        "webhook_id": webhook_id,
        "stream": subscription.stream(webhook_id),
        "version": version,
    }
    return await rows.first(connection, Past, QUERIES["webhook_as_of"], params)


async def event_type(
    connection: Connection, tenant_id: UUID, name: str
) -> EventType | None:
    """What the tenant declared about a type."""
    params = {"tenant_id": tenant_id, "type": name}
    return await rows.first(connection, EventType, QUERIES["event_type"], params)


async def event_types(connection: Connection, tenant_id: UUID) -> list[EventType]:
    """All types the tenant declared."""
    params = {"tenant_id": tenant_id}
    return await rows.many(connection, EventType, QUERIES["event_types"], params)


async def schemas(connection: Connection, tenant_id: UUID) -> Schemas:
    """Which of the tenant's event types have a schema, and as of when."""
    params = {"tenant_id": tenant_id}
    return Schemas(*await postgres.one(connection, QUERIES["schemas"], params))


async def ask_test(
    connection: Connection,
    tenant_id: UUID,
    request_id: UUID,
    webhook_id: UUID,
    event_type: str,
    data: bytes,
) -> None:
    """Have a worker send a test delivery."""
    params = {
        "tenant_id": tenant_id,
        "request_id": request_id,
        "webhook_id": webhook_id,
        "type": event_type,
        "data": data,
    }
    await connection.execute(QUERIES["ask_test"], params)
    await connection.execute(QUERIES["notify_work"])


async def test(connection: Connection, tenant_id: UUID, request_id: UUID) -> Test:
    """How far it is."""
    params = {"tenant_id": tenant_id, "request_id": request_id}
    row = await postgres.one(connection, QUERIES["test"], params)
    return Test(row.is_taken, row.answer)


async def forget_test(
    connection: Connection, tenant_id: UUID, request_id: UUID
) -> None:
    """Nobody waits for it any more."""
    params = {"tenant_id": tenant_id, "request_id": request_id}
    await connection.execute(QUERIES["forget_test"], params)
