"""Tenants and keys, posted in the transaction of their events."""

from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from domain import ids
from domain.log.entry import Statement
from domain.tenancy import api_key, settings
from projections.inline import Post, Posting, Posts
from projections.sql import Queries

QUERIES = Queries("projections.tenancy")


def key_rider(tenant_id: UUID, key_id: UUID, key: str) -> Statement:
    """What is kept of the key itself: its digest and first characters, never in the log."""
    params = {
        "tenant_id": tenant_id,
        "key_id": key_id,
        "hint": key[: api_key.HINT],
        "digest": api_key.digest(key),
    }
    return Statement(QUERIES["insert_key"], params)


def replacing_rider(
    tenant_id: UUID, key_id: UUID, key: str, *, keeps_previous: bool
) -> Statement:
    """The same when a key takes another's place."""
    params = {
        "tenant_id": tenant_id,
        "key_id": key_id,
        "hint": key[: api_key.HINT],
        "digest": api_key.digest(key),
        "keeps_previous": keeps_previous,
    }
    return Statement(QUERIES["replace_key"], params)


def _tenant(*queries: str) -> Post:
    """Statements that need nothing but the event's own fields."""

    def post(event: Posting) -> list[Statement]:
        params = event.data | {
            "tenant_id": event.tenant_id,
            "version": event.version,
            "at": event.occurred_at,
        }
        return [Statement(QUERIES[query], params) for query in queries]

    return post


def _configured(event: Posting) -> list[Statement]:
    wanted = settings.read(event.data["settings"])
    limits = msgspec.to_builtins(wanted.limits)
    params = {
        "tenant_id": event.tenant_id,
        "strict_types": wanted.strict_types,
        "retention_days": wanted.retention_days,
        "limits": Jsonb({name: n for name, n in limits.items() if n is not None}),
        "version": event.version,
        "at": event.occurred_at,
    }
    return [Statement(QUERIES["configure_tenant"], params)]


def _entered(event: Posting) -> list[Statement]:
    """A fact for whoever reads the log; no row says it."""
    return []


def _key_id(event: Posting) -> UUID:
    return ids.decode("key", event.stream.rpartition("/")[2])


def _key_created(event: Posting) -> list[Statement]:
    params = {
        "tenant_id": event.tenant_id,
        "key_id": _key_id(event),
        "name": event.data["name"],
        "scopes": event.data["scopes"],
        "expires_at": event.data["expires_at"],
        "at": event.occurred_at,
    }
    return [Statement(QUERIES["name_key"], params)]


def _key_rotated(event: Posting) -> list[Statement]:
    params = event.data | {"tenant_id": event.tenant_id, "key_id": _key_id(event)}
    return [Statement(QUERIES["rename_key"], params)]


def _key_revoked(event: Posting) -> list[Statement]:
    params = {
        "tenant_id": event.tenant_id,
        "key_id": _key_id(event),
        "at": event.occurred_at,
    }
    return [Statement(QUERIES["revoke_key"], params)]


POSTS: Posts = {
    "daybook.tenant.created": _tenant("insert_tenant"),
    "daybook.tenant.updated": _tenant("update_tenant"),
    "daybook.tenant.configured": _configured,
    "daybook.tenant.suspended": _tenant("suspend_tenant"),
    "daybook.tenant.resumed": _tenant("resume_tenant", "poke_tenant"),
    "daybook.tenant.offboarded": _tenant("offboard_tenant"),
    "daybook.tenant.entered": _entered,
    "daybook.key.created": _key_created,
    "daybook.key.rotated": _key_rotated,
    "daybook.key.revoked": _key_revoked,
}
