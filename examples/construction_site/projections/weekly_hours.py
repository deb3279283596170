"""The read model `weekly_hours`: a worker's weeks, as booked and as validated."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from projections import postgres, rows
from projections.postgres import Connection
from projections.projection import Batch, Policy
from projections.sql import Queries

QUERIES = Queries("examples.construction_site.projections", "weekly_hours.sql")
BATCH = 2000
MOST_WEEKS = 104


class Week(NamedTuple):
    """One week of a worker, by its Monday."""

    semaine: date
    minutes_saisies: int
    minutes_validees: int


class WeeklyHours:
    """Adds up hours by worker and week."""

    name = "weekly_hours"
    version = 1
    policy: Policy = "park"

    def batch_size(self) -> int:
        """How many events the next batch may have."""
        return BATCH

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Add the batch."""
        await connection.execute(QUERIES["apply"], batch.params())

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


async def weeks(connection: Connection, tenant_id: UUID, ouvrier_id: str) -> list[Week]:
    """A worker's last weeks, the newest first."""
    params = {"tenant_id": tenant_id, "ouvrier_id": ouvrier_id, "limit": MOST_WEEKS}
    return await rows.many(connection, Week, QUERIES["weeks"], params)
