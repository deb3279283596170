"""Sealing anew what webhooks keep secret, after another key became the first.

Row by row, each a transaction of its own: whatever is killed in between, every row is
sealed by one key or the other, and a vault that has both opens all of them. Running it
again goes on with what is left; running it twice at once does no harm.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from uuid import UUID

from projections.postgres import Connection
from projections.sql import Queries
from projections.vault import Sealed, Vault, VaultError, headers_place, webhook_place

QUERIES = Queries("projections.webhooks", "resealing.sql")
MOST_AT_ONCE = 500  # rows in memory
_NOBODY = UUID(int=0)


class Outcome(NamedTuple):
    """How many rows were sealed anew, and how many do not open, by the key they name."""

    resealed: int
    closed: Counter[str]


class _Kind(NamedTuple):
    """A table of sealed rows, and where in it one belongs."""

    old: str
    anew: str
    place: Callable[[Any], str]


_KINDS = (
    _Kind(
        "old_secrets",
        "reseal_secret",
        lambda row: webhook_place(
            row.tenant_id, row.webhook_id, row.version, row.scheme
        ),
    ),
    _Kind(
        "old_headers",
        "reseal_headers",
        lambda row: headers_place(row.tenant_id, row.webhook_id, row.version),
    ),
)


async def reseal(connection: Connection, vault: Vault) -> Outcome:
    """Seal everything with the vault's first key that another has sealed."""
    resealed, closed = 0, Counter[str]()
    for kind in _KINDS:
        async for row in _old(connection, kind, vault.first):
            place = kind.place(row)
            try:
                secret = vault.open(Sealed(row.key_id, bytes(row.sealed)), place)
            except VaultError:
                closed[row.key_id] += 1
                continue
            params = _key(row) | vault.seal(secret, place).params()
            cursor = await connection.execute(
                QUERIES[kind.anew], params | {"old": row.key_id}
            )
            resealed += cursor.rowcount
    return Outcome(resealed, closed)


async def _old(connection: Connection, kind: _Kind, first: str) -> AsyncIterator[Any]:
    key = {"tenant_id": _NOBODY, "webhook_id": _NOBODY, "version": 0, "scheme": ""}
    while True:
        params = key | {"first": first, "most": MOST_AT_ONCE}
        rows = await (await connection.execute(QUERIES[kind.old], params)).fetchall()
        for row in rows:
            yield row
        if len(rows) < MOST_AT_ONCE:
            return
        key = _key(rows[-1])


def _key(row: Any) -> dict[str, Any]:
    names = ("tenant_id", "webhook_id", "version", "scheme")
    return {name: getattr(row, name) for name in names}
