"""What can be done to tenants and keys."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from domain import clock
from domain.application import Log
from domain.errors import Invalid
from domain.log.entry import Context
from domain.tenancy import api_key, tenant
from domain.tenancy.api_key import ApiKey
from domain.tenancy.tenant import Tenant


def create_tenant(
    log: Log, context: Context, tenant_id: UUID, name: str, external_id: str | None
) -> None:
    """Begin a tenant and its log. Raises Invalid."""
    if faults := tenant.check(name, external_id):
        raise Invalid(faults)
    log.record(
        Tenant(id=tenant.originator_id(tenant_id), name=name, external_id=external_id),
        context,
    )


def change_tenant(
    log: Log, context: Context, tenant_id: UUID, name: str, external_id: str | None
) -> None:
    """Rename a tenant. Raises Invalid, NotFound."""
    if faults := tenant.check(name, external_id):
        raise Invalid(faults)
    found = log.load(Tenant, tenant.originator_id(tenant_id))
    found.change(name, external_id)
    log.record(found, context)


def create_key(
    log: Log,
    context: Context,
    tenant_id: UUID,
    key_id: UUID,
    *,
    name: str,
    scopes: Sequence[str],
    own_scopes: Collection[str],
    expires_at: datetime | None,
) -> None:
    """Give out a key with some of the maker's own scopes. Raises Invalid."""
    if faults := api_key.check(name, scopes, own_scopes):
        raise Invalid(faults)
    key = ApiKey(
        id=api_key.originator_id(tenant_id, key_id),
        name=name,
        scopes=sorted(set(scopes)),
        expires_at=clock.rfc3339(expires_at) if expires_at else None,
    )
    log.record(key, context)


def revoke_key(log: Log, context: Context, tenant_id: UUID, key_id: UUID) -> None:
    """End a key. Raises NotFound."""
    key = log.load(ApiKey, api_key.originator_id(tenant_id, key_id))
    key.revoke()
    log.record(key, context)
