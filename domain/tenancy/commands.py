"""What can be done to tenants and keys."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import clock, grammar, ids
from domain.application import Log
from domain.errors import Fault, Invalid
from domain.log.entry import Context
from domain.tenancy import api_key, settings, tenant
from domain.tenancy.api_key import ApiKey
from domain.tenancy.settings import Settings
from domain.tenancy.tenant import Tenant


def create_tenant(
    log: Log,
    context: Context,
    tenant_id: UUID,
    name: str,
    external_id: str | None,
    wanted: Settings | None = None,
) -> None:
    """Begin a tenant and its log. Raises Invalid."""
    wanted = wanted or Settings()
    if faults := tenant.check(name, external_id) + settings.check(wanted):
        raise Invalid(faults)
    made = Tenant(
        id=tenant.originator_id(tenant_id), name=name, external_id=external_id
    )
    made.configure(wanted)
    log.record(made, context)


def change_tenant(
    log: Log, context: Context, tenant_id: UUID, named: Mapping[str, Any]
) -> None:
    """Change what is named of name, external_id and settings. Raises Invalid, NotFound.

    The rest stays as it is by now, so that two changes never undo each other.
    """
    found = load_tenant(log, tenant_id)
    name = named.get("name", found.name)
    external_id = named.get("external_id", found.external_id)
    present = settings.read(found.settings)
    wanted = settings.changed(present, named.get("settings", {}))
    if faults := tenant.check(name, external_id) + settings.check(wanted):
        raise Invalid(faults)
    found.change(name, external_id)
    found.configure(wanted)
    log.record(found, context)


def suspend_tenant(
    log: Log, context: Context, tenant_id: UUID, reason: str | None
) -> None:
    """Its keys may do nothing, its deliveries wait. Raises Invalid, NotFound."""
    if reason is not None and (faults := grammar.check_description(reason, "#/reason")):
        raise Invalid(faults)
    found = load_tenant(log, tenant_id)
    found.suspend(reason)
    log.record(found, context)


def resume_tenant(log: Log, context: Context, tenant_id: UUID) -> None:
    """Let it go on. Raises Invalid when it was offboarded, NotFound."""
    found = load_tenant(log, tenant_id)
    found.resume()
    log.record(found, context)


def offboard_tenant(log: Log, context: Context, tenant_id: UUID) -> None:
    """End it, for good. Raises Invalid while it is not suspended, NotFound."""
    found = load_tenant(log, tenant_id)
    found.offboard()
    log.record(found, context)


def enter_tenant(
    log: Log, context: Context, tenant_id: UUID, key_id: UUID, on: date
) -> None:
    """A platform key acts for the tenant on this day. Raises NotFound."""
    found = load_tenant(log, tenant_id)
    found.enter(ids.encode("key", key_id), on.isoformat())
    log.record(found, context)


def load_tenant(log: Log, tenant_id: UUID) -> Tenant:
    """The tenant as it is now. Raises NotFound."""
    return log.load(Tenant, tenant.originator_id(tenant_id))


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
    if faults := _check_key(tenant_id, name, scopes, own_scopes):
        raise Invalid(faults)
    key = ApiKey(
        id=api_key.originator_id(tenant_id, key_id),
        name=name,
        scopes=sorted(set(scopes)),
        expires_at=clock.rfc3339(expires_at) if expires_at else None,
    )
    log.record(key, context)


def rotate_key(
    log: Log,
    context: Context,
    tenant_id: UUID,
    key_id: UUID,
    named: Mapping[str, Any],
    *,
    own_scopes: Collection[str],
    overlap_seconds: int,
    now: datetime,
) -> None:
    """Put another key in its place. Raises Invalid, NotFound.

    `named` are name, scopes and expires_at, as far as they change. Whoever rotates a key
    gets one with its scopes, so these must be among its own.
    """
    key = log.load(ApiKey, api_key.originator_id(tenant_id, key_id))
    name, scopes = named.get("name", key.name), named.get("scopes", key.scopes)
    expires_at = key.expires_at
    if "expires_at" in named:
        wanted = named["expires_at"]
        expires_at = clock.rfc3339(wanted) if wanted else None
    faults = _check_key(tenant_id, name, scopes, own_scopes)
    if expires_at is not None and expires_at <= clock.rfc3339(now):
        faults.append(Fault("#/expires_at", "invalid", "it has passed already"))
    if faults:
        raise Invalid(faults)
    previous = _overlap_end(key.expires_at, overlap_seconds, now)
    key.rotate(name, sorted(set(scopes)), expires_at, previous)
    log.record(key, context)


def revoke_key(log: Log, context: Context, tenant_id: UUID, key_id: UUID) -> None:
    """End a key. Raises NotFound."""
    key = log.load(ApiKey, api_key.originator_id(tenant_id, key_id))
    key.revoke()
    log.record(key, context)


def _check_key(
    tenant_id: UUID, name: str, scopes: Sequence[str], own_scopes: Collection[str]
) -> list[Fault]:
    is_platform = tenant_id == api_key.PLATFORM
    faults = api_key.check(name, scopes, own_scopes, is_platform=is_platform)
    if is_platform and api_key.ACT not in scopes:
        detail = f"a platform key has {api_key.ACT}"
        faults.append(Fault("#/scopes", "invalid", detail))
    return faults


def _overlap_end(own_end: str | None, seconds: int, now: datetime) -> str | None:
    """Until when the key that is replaced works; never longer than it would have."""
    if not seconds:
        return None
    end = clock.rfc3339(now + timedelta(seconds=seconds))
    return end if own_end is None else min(end, own_end)
