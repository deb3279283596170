"""What must hold before a process serves: durable commits, the right role, the walls up."""

import asyncio
import time

from projections import postgres
from projections.sql import Queries

QUERIES = Queries("projections", "startup.sql")
OLDEST, NEWEST = 150000, 190000  # server_version_num: Postgres 15 to 18
WAIT_SECONDS = 60.0


class Refused(RuntimeError):
    """It would not be safe to start; the message says what to change."""


async def check(url: str, role: postgres.Role) -> None:
    """Judge the database as `role` sees it. Raises Refused; one of AWAY."""
    async with await postgres.connect(url, role, "start-up") as connection:
        settings = await (await connection.execute(QUERIES["durability"])).fetchall()
        for row in settings:
            if row.setting == "off":
                raise Refused(
                    f"{row.name} is off: an acknowledged event could be lost. "
                    f"Set {row.name} = on in the server's configuration."
                )
        identity = await postgres.one(connection, QUERIES["identity"])
        if identity.role != role or identity.is_super or identity.bypasses:
            raise Refused(f"the connection acts as {identity.role}, not as {role}")
        if not OLDEST <= identity.version < NEWEST:
            raise Refused(f"Postgres {identity.version // 10000} is not 15 to 18")
        open_tables = await (
            await connection.execute(QUERIES["open_tables"])
        ).fetchall()
        if open_tables:
            names = ", ".join(row.name for row in open_tables)
            raise Refused(f"no forced row-level security on: {names}")


async def wait_and_check(url: str, role: postgres.Role) -> None:
    """The same, once the database answers; it may be starting too. Raises Refused."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return await check(url, role)
        except postgres.AWAY as error:
            if time.monotonic() > deadline:
                raise Refused(f"the database does not answer: {error}") from error
            await asyncio.sleep(0.5)
