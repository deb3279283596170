"""Tenants and keys, posted in the transaction of their events."""

from typing import Any
from uuid import UUID

from domain import ids
from domain.log.entry import Statement
from domain.tenancy import api_key
from projections.inline import Posting, Posts
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


def _tenant(query: str) -> Any:
    def post(event: Posting) -> list[Statement]:
        params = {
            "tenant_id": event.tenant_id,
            "external_id": event.data["external_id"],
            "name": event.data["name"],
            "version": event.version,
            "at": event.occurred_at,
        }
        return [Statement(QUERIES[query], params)]

    return post


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
    "daybook.key.created": _key_created,
    "daybook.key.revoked": _key_revoked,
}
