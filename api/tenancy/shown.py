"""Tenants and keys in their public shapes."""

from api import shapes
from api.tenancy.schemas import Key, Tenant
from domain import ids
from projections.tenancy import views


def tenant(row: views.Tenant) -> Tenant:
    """A tenant."""
    return Tenant(
        id=ids.encode("ten", row.tenant_id),
        name=row.name,
        external_id=row.external_id,
        created_at=shapes.time(row.created_at),
        updated_at=shapes.time(row.updated_at),
    )


def key(row: views.Key, secret: str | None = None) -> Key:
    """A key; the key itself only when it has just been made."""
    return Key(
        id=ids.encode("key", row.key_id),
        tenant_id=ids.encode("ten", row.tenant_id),
        name=row.name,
        prefix=row.hint,
        scopes=row.scopes,
        created_at=shapes.time(row.created_at),
        expires_at=shapes.time_or_none(row.expires_at),
        last_used_at=shapes.time_or_none(row.last_used_at),
        key=secret,
    )
