"""The read model `site_board`: a line for each site, with what goes on there."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from projections import postgres, rows
from projections.postgres import Connection
from projections.projection import Batch, Policy
from projections.sql import Queries

QUERIES = Queries("examples.construction_site.projections", "site_board.sql")
BATCH = 2000
_LAST = "\U0010ffff"  # behind every id


class Row(NamedTuple):
    """One site."""

    chantier_id: str
    nom: str | None
    adresse: str | None
    statut: str | None
    affectations: int
    signalements_ouverts: int
    minutes_saisies: int
    minutes_validees: int


class SiteBoard:
    """Keeps a line for each site."""

    name = "site_board"
    version = 1
    policy: Policy = "park"

    def batch_size(self) -> int:
        """How many events the next batch may have."""
        return BATCH

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Write what the batch says of sites, and add what it counts."""
        await connection.execute(QUERIES["describe"], batch.params())
        await connection.execute(QUERIES["count"], batch.params())

    def applied(self, batch: Batch) -> None:
        """Nobody waits for it in this process."""

    async def checksum(
        self, connection: Connection, generation: int
    ) -> tuple[int, str]:
        """How many rows, and a sum over them."""
        params = {"generation": generation}
        row = await postgres.one(connection, QUERIES["checksum"], params)
        return row.rows, row.sum

    async def clear(
        self, connection: Connection, keep: Sequence[int], most: int
    ) -> int:
        """Delete up to `most` rows of other generations; how many there were."""
        params = {"keep": list(keep), "most": most}
        return int((await postgres.one(connection, QUERIES["clear"], params)).rows)

    async def clear_tenant(
        self, connection: Connection, generation: int, tenant_id: UUID
    ) -> None:
        """Delete a tenant's rows of a generation."""
        params = {"generation": generation, "tenant_id": tenant_id}
        await connection.execute(QUERIES["clear_tenant"], params)


async def sites(
    connection: Connection,
    tenant_id: UUID,
    key: str | None,
    *,
    limit: int,
    backwards: bool,
) -> list[Row]:
    """A page of the sites by id, nearest first; follows the log within a second."""
    beginning = _LAST if backwards else ""
    params = {
        "tenant_id": tenant_id,
        "key": beginning if key is None else key,
        "limit": limit,
    }
    query = QUERIES["sites_backwards" if backwards else "sites_forwards"]
    return await rows.many(connection, Row, query, params)
