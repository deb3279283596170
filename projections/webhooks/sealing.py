"""What a webhook keeps secret: what it signs with, and the values of its headers.

Sealed before they reach the database, in rows beside the log: riders of the command that
sets them, so they are there with its events or not at all.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.log.entry import Statement
from domain.webhooks.settings import Scheme
from projections.postgres import Connection
from projections.sql import Queries
from projections.vault import Sealed, Vault, headers_place, webhook_place
from projections.webhooks import ed25519

QUERIES = Queries("projections.webhooks", "sealing.sql")
MOST_SIGNING = 5  # secrets of a scheme that sign at a time


class Place(NamedTuple):
    """A version of a webhook: what is set with it is sealed for it."""

    tenant_id: UUID
    webhook_id: UUID
    version: int


def signing_rider(vault: Vault, place: Place, secret: bytes) -> Statement:
    """What signs with the scheme `v1`."""
    sealed = vault.seal(secret, webhook_place(*place))
    return _rider(place, "v1", sealed, None)


def key_rider(vault: Vault, place: Place) -> Statement:
    """A fresh key that signs with the scheme `v1a`."""
    seed = ed25519.new_seed()
    sealed = vault.seal(seed, webhook_place(*place, "v1a"))
    return _rider(place, "v1a", sealed, ed25519.public_key(seed))


def expiry_rider(place: Place, now: datetime, expires_at: datetime) -> Statement:
    """All secrets before those of this version sign until then and no longer.

    Where too many would sign, it ends the command: LimitReached.
    """
    params = place._asdict() | {"now": now, "expires_at": expires_at}
    return Statement(QUERIES["expire_secrets"], params | {"most": MOST_SIGNING})


def headers_rider(vault: Vault, place: Place, values: Mapping[str, str]) -> Statement:
    """The values of headers."""
    sealed = vault.seal(msgspec.json.encode(values), headers_place(*place))
    return Statement(QUERIES["insert_headers"], place._asdict() | sealed.params())


async def headers(connection: Connection, vault: Vault, place: Place) -> dict[str, str]:
    """The values that were set with a version. Raises VaultError."""
    row = await (
        await connection.execute(QUERIES["headers"], place._asdict())
    ).fetchone()
    if row is None:
        return {}
    opened = vault.open(Sealed(row.key_id, row.sealed), headers_place(*place))
    return msgspec.json.decode(opened, type=dict[str, str])


async def previous_expire_at(
    connection: Connection, tenant_id: UUID, webhook_id: UUID
) -> datetime | None:
    """Until when secrets before the current ones sign; None: there have been none."""
    params = {"tenant_id": tenant_id, "webhook_id": webhook_id}
    row = await (
        await connection.execute(QUERIES["previous_secrets"], params)
    ).fetchone()
    expire_at: datetime | None = row and row.expire_at
    return expire_at


def _rider(
    place: Place, scheme: Scheme, sealed: Sealed, public_key: str | None
) -> Statement:
    params = place._asdict() | sealed.params()
    params |= {"scheme": scheme, "public_key": public_key}
    return Statement(QUERIES["insert_secret"], params)
