"""What is sent to make tenants and keys, and how they look."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.pagination import PageQuery
from api.shapes import KeyId, TenantId, Time, TimeIn, ruled
from domain import grammar
from domain.tenancy.api_key import ACT, SCOPES

Kind = Literal["operator", "key", "platform"]

_Name = Annotated[str, ruled(grammar.NAME)]
_Scope = Annotated[str, Meta(extra_json_schema={"enum": [*SCOPES, ACT]})]
_Strict = Annotated[
    bool | UnsetType | None,
    Meta(description="refuse events of types that nobody declared"),
]
_Retention = Annotated[
    int | UnsetType | None,
    Meta(description="days for which the history of deliveries is kept"),
]


class LimitChanges(Struct, forbid_unknown_fields=True):
    """The limits to replace; null goes back to what every tenant may have."""

    webhooks: int | UnsetType | None = UNSET
    default: int | UnsetType | None = UNSET
    publish: int | UnsetType | None = UNSET
    test: int | UnsetType | None = UNSET
    retry: int | UnsetType | None = UNSET


class SettingsChanges(Struct, forbid_unknown_fields=True):
    """The settings to replace; null goes back to the default."""

    strict_types: _Strict = UNSET
    retention_days: _Retention = UNSET
    limits: LimitChanges | UnsetType | None = UNSET


class Ticket(Struct):
    """Opens one stream, until then; shown this once."""

    ticket: str | None
    expires_at: Time


class CreateTenant(Struct, forbid_unknown_fields=True):
    """What a tenant is called; the external id is the operator's own name for it."""

    name: _Name
    external_id: Annotated[
        str | None, Meta(description="1 to 128 visible ASCII characters, unique")
    ] = None
    settings: SettingsChanges | UnsetType = UNSET


class TenantChanges(Struct, forbid_unknown_fields=True):
    """What to replace; null takes the external id away."""

    name: _Name | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    settings: SettingsChanges | UnsetType = UNSET


class SuspendTenant(Struct, forbid_unknown_fields=True):
    """Why, for whoever reads it later."""

    reason: str | None = None


class TenantLimits(Struct):
    """Limits of this tenant's own; null is what every tenant may have.

    All but `webhooks` are requests a minute.
    """

    webhooks: int | None
    default: int | None
    publish: int | None
    test: int | None
    retry: int | None


class TenantSettings(Struct):
    """What the operator sets of a tenant."""

    strict_types: bool
    retention_days: int | None
    limits: TenantLimits


class Suspended(Struct):
    """Since when a tenant is suspended, and why."""

    at: Time
    reason: str | None


class Tenant(Struct):
    """A tenant as it is now."""

    id: TenantId
    name: str
    external_id: str | None
    state: Literal["active", "suspended", "offboarded"]
    suspended: Suspended | None
    settings: TenantSettings
    created_at: Time
    updated_at: Time


class TenantPage(Struct):
    """A page of tenants, oldest first."""

    data: list[Tenant]
    next: str | None
    prev: str | None


class CreateKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to give out, with some of the maker's own scopes.

    With `tenants:act` among them, which only the operator gives, it is a platform key: it
    has no tenant and acts for the one that a request names in `Daybook-Tenant`.
    """

    name: _Name
    scopes: list[_Scope]
    expires_at: TimeIn | None = None
    tenant_id: Annotated[
        str | None, Meta(description="whose key it is; the operator names it")
    ] = None


class RotateKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """What else changes with the key; what is left out stays."""

    name: _Name | UnsetType = UNSET
    scopes: list[_Scope] | UnsetType = UNSET
    expires_at: TimeIn | UnsetType | None = UNSET
    overlap_seconds: Annotated[
        int,
        Meta(ge=0, le=604_800, description="for how long the old key works as well"),
    ] = 0
    tenant_id: Annotated[
        str | None, Meta(description="whose key it is; the operator may name it")
    ] = None


class Key(Struct, kw_only=True):
    """A key. `key` is shown once, when it is made; `prefix` is how it begins.

    A platform key has no tenant. `previous_expires_at`: until then the key before it, which
    it replaced, works as well.
    """

    id: KeyId
    tenant_id: TenantId | None
    name: str
    prefix: str
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    previous_expires_at: Time | None
    last_used_at: Time | None
    key: str | None


class KeyPage(Struct):
    """A page of keys, oldest first."""

    data: list[Key]
    next: str | None
    prev: str | None


class KeyQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Whose keys to list."""

    tenant_id: Annotated[
        str | None,
        Meta(description="whose keys; the operator names it, or sees platform keys"),
    ] = None


class OneKeyQuery(Struct, forbid_unknown_fields=True):
    """Whose key it is."""

    tenant_id: Annotated[
        str | None, Meta(description="whose key; the operator may name it")
    ] = None


_Rate = Annotated[int | None, Meta(description="requests a minute; null: no limit")]


class Limits(Struct, kw_only=True):
    """How much of everything there may be.

    `default` is this key's, `publish` its tenant's, `test` and `retry` each webhook's.
    """

    event_bytes: int
    batch_events: int
    batch_bytes: int
    body_bytes: int
    webhooks: int
    default: _Rate
    publish: _Rate
    test: _Rate
    retry: _Rate


class Me(Struct):
    """Who the key of this request speaks for, and what it may do.

    A platform key has the tenant that `Daybook-Tenant` names, the operator's none.
    """

    type: Kind
    key_id: KeyId | None
    name: str | None
    scopes: list[str]
    expires_at: Time | None
    tenant: Tenant | None
    limits: Limits
