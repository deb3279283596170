"""What the API reads of tenants and keys, and how it learns whose key a request carries."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain import ids
from projections import rows
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections.tenancy", "views.sql")
# What the database says when two tenants want the same external id.
ExternalIdTaken = psycopg.errors.UniqueViolation


class Credential(NamedTuple):
    """What a key stands for, and the tenant that it asks for, if there is such a one."""

    key_id: UUID
    scopes: list[str]
    expires_at: datetime | None
    is_platform: bool
    tenant_id: UUID | None
    external_id: str | None
    state: str | None
    strict_types: bool | None
    limits: dict[str, Any] | None


class Tenant(NamedTuple):
    """A tenant as it is now."""

    tenant_id: UUID
    external_id: str | None
    name: str
    state: str
    suspended_at: datetime | None
    suspended_reason: str | None
    strict_types: bool
    retention_days: int | None
    limits: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class Redeemed(NamedTuple):
    """What a ticket stood for: a key, by its digest, and whose log."""

    tenant_id: UUID
    key_digest: bytes


class Key(NamedTuple):
    """A key as it is now; `hint` is how the key itself begins."""

    tenant_id: UUID
    key_id: UUID
    name: str
    hint: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    previous_expires_at: datetime | None
    last_used_at: datetime | None


async def authenticate(
    connection: Connection, digest: bytes, named: str | None
) -> Credential | None:
    """Whose key has this digest; None when it is unknown, expired or revoked.

    `named` is the tenant that a platform key is to act for: its id or the operator's name.
    """
    params = {"digest": digest, "named": named, "named_id": _tenant_id(named)}
    return await rows.first(connection, Credential, QUERIES["authenticate"], params)


async def touch_key(connection: Connection, tenant_id: UUID, key_id: UUID) -> None:
    """The key was used just now."""
    params = {"tenant_id": tenant_id, "key_id": key_id}
    await connection.execute(QUERIES["touch_key"], params)


async def keep_ticket(
    connection: Connection,
    tenant_id: UUID,
    digest: bytes,
    key_digest: bytes,
    expires_at: datetime,
) -> None:
    """A ticket that stands for the key with this digest, until then."""
    params = {
        "tenant_id": tenant_id,
        "digest": digest,
        "key_digest": key_digest,
        "expires_at": expires_at,
    }
    await connection.execute(QUERIES["forget_tickets"], params)
    await connection.execute(QUERIES["keep_ticket"], params)


async def redeem(connection: Connection, digest: bytes) -> Redeemed | None:
    """Use a ticket up; None when there is none, or its time has passed."""
    params = {"digest": digest}
    return await rows.first(connection, Redeemed, QUERIES["redeem_ticket"], params)


async def tenant(connection: Connection, tenant_id: UUID) -> Tenant | None:
    """One tenant."""
    params = {"tenant_id": tenant_id}
    return await rows.first(connection, Tenant, QUERIES["tenant"], params)


async def tenants(
    connection: Connection, key: UUID | None, *, limit: int, backwards: bool
) -> list[Tenant]:
    """Tenants after `key`, or before it, nearest first."""
    query = QUERIES["tenants_before" if backwards else "tenants"]
    return await rows.many(connection, Tenant, query, {"key": key, "limit": limit})


async def owner_of_key(connection: Connection, key_id: UUID) -> UUID | None:
    """The tenant whose key has this id; for the operator."""
    cursor = await connection.execute(QUERIES["owner_of_key"], {"key_id": key_id})
    row = await cursor.fetchone()
    return row.tenant_id if row else None


async def key(connection: Connection, tenant_id: UUID, key_id: UUID) -> Key | None:
    """One key of a tenant; a revoked one is an absent one."""
    params = {"tenant_id": tenant_id, "key_id": key_id}
    return await rows.first(connection, Key, QUERIES["key"], params)


async def keys(
    connection: Connection,
    tenant_id: UUID,
    key: UUID | None,
    *,
    limit: int,
    backwards: bool,
) -> list[Key]:
    """A tenant's keys after `key`, or before it, nearest first."""
    query = QUERIES["keys_before" if backwards else "keys"]
    params = {"tenant_id": tenant_id, "key": key, "limit": limit}
    return await rows.many(connection, Key, query, params)


def _tenant_id(text: str | None) -> UUID | None:
    try:
        return None if text is None else ids.decode("ten", text)
    except ids.MalformedId:
        return None
