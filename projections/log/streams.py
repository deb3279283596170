"""The read model `streams`: where each stream is, for lists of them."""

from collections.abc import Sequence
from uuid import UUID

from projections import postgres
from projections.postgres import Connection
from projections.projection import Batch, Policy
from projections.sql import Queries

QUERIES = Queries("projections.log", "streams.sql")
BATCH = 2000


class Streams:
    """Posts each stream's version, position and time of its last event."""

    name = "streams"
    version = 1
    policy: Policy = "park"

    def batch_size(self) -> int:
        """How many events the next batch may have."""
        return BATCH

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Move the streams of the batch on."""
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
