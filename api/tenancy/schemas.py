"""What is sent to make tenants and keys, and how they look."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from api.pagination import PageQuery
from api.shapes import KeyId, TenantId, Time, TimeIn


class TenantNames(Struct, forbid_unknown_fields=True):
    """What a tenant is called; the external id is the operator's own name for it."""

    name: str
    external_id: Annotated[
        str | None, Meta(description="1 to 128 visible ASCII characters, unique")
    ] = None


class TenantChanges(Struct, forbid_unknown_fields=True):
    """The names to replace; null takes the external id away."""

    name: str | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET


class Tenant(Struct):
    """A tenant as it is now."""

    id: TenantId
    name: str
    external_id: str | None
    created_at: Time
    updated_at: Time


class TenantPage(Struct):
    """A page of tenants, oldest first."""

    data: list[Tenant]
    next: str | None
    prev: str | None


class CreateKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to give out, with some of the maker's own scopes."""

    name: str
    scopes: list[str]
    expires_at: TimeIn | None = None
    tenant_id: Annotated[
        str | None, Meta(description="whose key it is; the operator names it")
    ] = None


class Key(Struct, kw_only=True):
    """A key. `key` is shown once, when it is made; `prefix` is how it begins."""

    id: KeyId
    tenant_id: TenantId
    name: str
    prefix: str
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
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
        str | None, Meta(description="whose keys; the operator names it")
    ] = None


class OneKeyQuery(Struct, forbid_unknown_fields=True):
    """Whose key it is."""

    tenant_id: Annotated[
        str | None, Meta(description="whose key; the operator may name it")
    ] = None


class Limits(Struct):
    """How much of everything there may be."""

    event_bytes: int
    batch_events: int
    batch_bytes: int
    body_bytes: int
    webhooks: int


class Me(Struct):
    """Who the key of this request speaks for, and what it may do."""

    type: str
    key_id: KeyId | None
    name: str | None
    scopes: list[str]
    tenant: Tenant | None
    limits: Limits
