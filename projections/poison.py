"""Events that a projection cannot apply, and what becomes of them.

    pause  the projection stands before the event and tries again, until it passes or an
           operator skips it
    park   the event and what follows in its stream wait aside, in order; all others go on
    skip   it is left out

All three are written down; parked and skipped events are left out of later batches in the
transaction that applies the rest, so an event is applied once or accounted for here, never
both. An operator may ask for parked ones again.
"""

from collections.abc import Mapping

import psycopg

from projections import failure, postgres
from projections.postgres import Connection
from projections.projection import Batch, Policy, Projection
from projections.sql import Queries

QUERIES = Queries("projections.log", "tail.sql")
STATES: Mapping[Policy, str] = {"pause": "stopped", "park": "parked", "skip": "skipped"}
LONGEST = 2000  # characters of an error that are kept
# What is too large for the database is so for ever, although the driver files it with what
# passes.
TOO_LARGE = (
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.TooManyColumns,
    psycopg.errors.TooManyArguments,
)


def is_passing(error: Exception) -> bool:
    """Whether it says something of the moment, and nothing of the event or the code.

    The database is away or busy, or it cut us off because this process stood still.
    """
    passing = (*postgres.AWAY, psycopg.errors.IdleInTransactionSessionTimeout)
    return isinstance(error, passing) and not isinstance(error, TOO_LARGE)


async def record(
    connection: Connection, projection: Projection, position: int, error: Exception
) -> None:
    """The event at `position` failed alone: do as the policy says."""
    params = {
        "name": projection.name,
        "position": position,
        "state": STATES[projection.policy],
        "error": text(error),
    }
    await connection.execute(QUERIES["record_poison"], params)


async def without_errors(connection: Connection, name: str, batch: Batch) -> Batch:
    """The batch without what is parked or skipped; parks what queues behind it."""
    params = {"name": name, "after": batch.after, "through": batch.through}
    cursor = await connection.execute(QUERIES["left_out"], params)
    left_out = [row.log_position for row in await cursor.fetchall()]
    await connection.execute(QUERIES["forget_stopped"], params)
    return batch._replace(left_out=left_out)


async def try_again(
    connection: Connection, projection: Projection, generation: int
) -> bool:
    """Apply the parked events of a stream that an operator asked for; whether any was.

    In order, each in a savepoint: the first that fails ends it, the rest stays parked.
    """
    name = {"name": projection.name}
    cursor = await connection.execute(QUERIES["asked_again"], name)
    parked = await cursor.fetchall()
    for row in parked:
        batch = Batch(row.log_position - 1, row.log_position, generation)
        error_id = name | {"error_id": row.error_id}
        try:
            async with connection.transaction():
                await projection.apply(connection, batch)
        except Exception as error:
            if is_passing(error):
                raise
            params = error_id | {"error": text(error)}
            await connection.execute(QUERIES["failed_again"], params)
            break
        await connection.execute(QUERIES["applied_again"], error_id)
    return bool(parked)


async def as_live(connection: Connection, name: str, batch: Batch) -> Batch:
    """The batch without what is left out of the live rows too; changes nothing."""
    params = {"name": name, "after": batch.after, "through": batch.through}
    cursor = await connection.execute(QUERIES["left_out_already"], params)
    return batch._replace(left_out=[r.log_position for r in await cursor.fetchall()])


def text(error: Exception) -> str:
    """What is kept of an error: its kind and what it says."""
    return storable(failure.text(error))


def storable(message: str) -> str:
    """Without what the database cannot hold: an error may quote what it choked on."""
    return message[:LONGEST].encode("utf-8", "replace").decode().replace("\0", "")
