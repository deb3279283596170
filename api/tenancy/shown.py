"""Tenants and keys in their public shapes."""

from typing import Any, cast

from api import shapes
from api.tenancy.schemas import Key, Suspended, Tenant, TenantLimits, TenantSettings
from domain import ids
from domain.tenancy.api_key import PLATFORM
from domain.tenancy.settings import RATES
from projections.tenancy import views

_LIMITS = ("webhooks", *RATES)


def tenant(row: views.Tenant) -> Tenant:
    """A tenant."""
    suspended = None
    if row.suspended_at is not None:
        suspended = Suspended(shapes.time(row.suspended_at), row.suspended_reason)
    return Tenant(
        id=ids.encode("ten", row.tenant_id),
        name=row.name,
        external_id=row.external_id,
        state=cast(Any, row.state),  # the table knows no others
        suspended=suspended,
        settings=TenantSettings(
            strict_types=row.strict_types,
            retention_days=row.retention_days,
            limits=TenantLimits(**{n: row.limits.get(n) for n in _LIMITS}),
        ),
        created_at=shapes.time(row.created_at),
        updated_at=shapes.time(row.updated_at),
    )


def key(row: views.Key, secret: str | None = None) -> Key:
    """A key; the key itself only when it has just been made."""
    is_platform = row.tenant_id == PLATFORM
    return Key(
        id=ids.encode("key", row.key_id),
        tenant_id=None if is_platform else ids.encode("ten", row.tenant_id),
        name=row.name,
        prefix=row.hint,
        scopes=row.scopes,
        created_at=shapes.time(row.created_at),
        expires_at=shapes.time_or_none(row.expires_at),
        previous_expires_at=shapes.time_or_none(row.previous_expires_at),
        last_used_at=shapes.time_or_none(row.last_used_at),
        key=secret,
    )
