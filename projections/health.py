"""What /health reads, as the operator: figures of the whole, nothing of any tenant."""

from collections.abc import Sequence
from typing import NamedTuple

from projections import postgres, rows
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections", "health.sql")
# Behind and not moved for so long is a stall, for /health/system and the doctor alike.
STUCK_SECONDS = 30.0


class Checkpoint(NamedTuple):
    """How far a projection is; `stuck_seconds` since it moved or had a reason to.

    `state` is running, paused, stopped (before an event it cannot apply) or
    needs_newer_code.
    """

    name: str
    version: int
    state: str
    paused_by: str | None
    lag_events: int
    seconds_since_advance: float
    stuck_seconds: float
    error: str | None

    @property
    def is_stuck(self) -> bool:
        """Whether it has had something to do, and has not moved, for too long."""
        return self.stuck_seconds > STUCK_SECONDS


async def schema_version(connection: Connection) -> str:
    """The number of the last migration that was applied."""
    row = await postgres.one(connection, QUERIES["schema_version"])
    return str(row.version)


async def without_checkpoint(connection: Connection, names: Sequence[str]) -> list[str]:
    """Those of these projections that no migration has made yet."""
    query = QUERIES["without_checkpoint"]
    cursor = await connection.execute(query, {"names": list(names)})
    return [row.name for row in await cursor.fetchall()]


async def checkpoints(connection: Connection) -> list[Checkpoint]:
    """Every projection, by name."""
    return await rows.many(connection, Checkpoint, QUERIES["checkpoints"], {})
