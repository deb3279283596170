"""What the API reads of consumers, and their acknowledgements."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from projections import rows
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.consumers", "views.sql")


class Consumer(NamedTuple):
    """A consumer as it is now; `head` is where its tenant's log ends."""

    name: str
    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None
    start: Any
    created_position: int
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    position: int
    head: int


async def consumer(
    connection: Connection, tenant_id: UUID, name: str
) -> Consumer | None:
    """One consumer."""
    params = {"tenant_id": tenant_id, "name": name}
    return await rows.first(connection, Consumer, QUERIES["consumer"], params)


async def consumers(
    connection: Connection,
    tenant_id: UUID,
    key: int | None,
    *,
    limit: int,
    backwards: bool,
) -> list[Consumer]:
    """Consumers after the one that began at `key`, or before it, nearest first."""
    query = QUERIES["consumers_before" if backwards else "consumers"]
    params = {"tenant_id": tenant_id, "key": key, "limit": limit}
    return await rows.many(connection, Consumer, query, params)


async def acknowledge(
    connection: Connection, tenant_id: UUID, name: str, position: int
) -> None:
    """All up to this position is done; an older one changes nothing.

    Durable with the transaction: the answer comes after its commit.
    """
    params = {"tenant_id": tenant_id, "name": name, "position": position}
    await connection.execute(QUERIES["acknowledge"], params)
