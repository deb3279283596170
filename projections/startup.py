"""What must hold before a process serves: durable commits, the right role, the walls up."""

import asyncio
import time

import structlog

from projections import isolation, postgres
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections", "startup.sql")
OLDEST, NEWEST = 150000, 190000  # server_version_num: Postgres 15 to 18
WAIT_SECONDS = 60.0
# The roles in which each process connects.
API: tuple[postgres.Role, ...] = ("daybook_app", "daybook_edge", "daybook_operator")
WORKER: tuple[postgres.Role, ...] = ("daybook_worker",)
MIGRATE = "run `daybook migrate`"

log = structlog.get_logger("daybook.startup")


class Refused(RuntimeError):
    """It would not be safe to start; the message says what to change."""


async def check(url: str, *roles: postgres.Role) -> None:
    """Judge the database, and each role as its pool has it. Raises Refused, or AWAY."""
    for number, role in enumerate(roles):
        async with await postgres.connect(url, role, "start-up") as connection:
            await _check_identity(connection, role)
            if number == 0:  # what follows is the same for all
                await _check_schema(connection)
                await _check_durability(connection)
                if found := await isolation.faults(connection):
                    raise Refused("tenants are not kept apart: " + "; ".join(found))


async def wait_and_check(url: str, *roles: postgres.Role) -> None:
    """The same, once the database answers; it may be starting too. Raises Refused."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            await check(url, *roles)
            return await _warn(url, roles[0])
        except postgres.AWAY as error:
            if time.monotonic() > deadline:
                raise Refused(_absent(error, roles)) from error
            await asyncio.sleep(0.5)


def _absent(error: Exception, roles: tuple[postgres.Role, ...]) -> str:
    """Why there was no connection; a server that was never migrated has no such role."""
    told = f"the database does not answer: {error}"
    return f"{told}; {MIGRATE}" if any(role in told for role in roles) else told


async def undurable(connection: Connection) -> list[str]:
    """Settings that are off, and without which an acknowledged event can be lost."""
    rows = await (await connection.execute(QUERIES["durability"])).fetchall()
    return [row.name for row in rows if row.setting == "off"]


async def telling_settings(connection: Connection) -> list[str]:
    """Settings by which the server writes statements, and what is in them, to its log.

    Not refused: where the server is somebody else's one may not be able to change them.
    """
    rows = await (await connection.execute(QUERIES["telling_settings"])).fetchall()
    return [f"{row.name} = {row.setting}" for row in rows]


async def _check_identity(connection: Connection, role: postgres.Role) -> None:
    """A pooler in between may have dropped what the connection asked for."""
    identity = await postgres.one(connection, QUERIES["identity"])
    if identity.role != role or identity.is_super or identity.bypasses:
        raise Refused(f"the connection acts as {identity.role}, not as {role}")
    if not OLDEST <= identity.version < NEWEST:
        raise Refused(f"Postgres {identity.version // 10000} is not 15 to 18")


async def _check_schema(connection: Connection) -> None:
    if not (await postgres.one(connection, QUERIES["is_migrated"])).is_migrated:
        raise Refused(f"there is no Daybook in this database: {MIGRATE}")


async def _check_durability(connection: Connection) -> None:
    for name in await undurable(connection):
        raise Refused(
            f"{name} is off: an acknowledged event could be lost. "
            f"Set {name} = on in the server's configuration."
        )


async def _warn(url: str, role: postgres.Role) -> None:
    async with await postgres.connect(url, role, "start-up") as connection:
        if telling := await telling_settings(connection):
            log.warning("server_logs_statements", settings=telling)
