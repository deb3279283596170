"""Connections: one role each, short timeouts, and transactions of one tenant.

Every connection names its role when it connects, so row-level security holds whatever the
login may do. The timeouts say how long a dead peer is believed in: a killed process frees
its locks at once (its socket closes), a hung one after `idle_in_transaction` (5 s), a lost
host after `tcp_user_timeout` (10 s).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, LiteralString
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from psycopg_pool.base import BasePool

from domain.errors import Unavailable
from projections.telemetry import Watched

Role = Literal["daybook_app", "daybook_edge", "daybook_operator", "daybook_worker"]
Connection = AsyncConnection[Any]

_SETTINGS = {
    "search_path": "daybook",
    "timezone": "UTC",
    # Each statement sees what was committed before it, whatever the server's default.
    "default_transaction_isolation": "read\\ committed",
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "10s",
    "client_connection_check_interval": "2s",
}
# What tells that the database is away or going, rather than that a statement is wrong.
AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # We hung for too long in a transaction and were cut off: the connection is gone.
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
)


def conninfo(url: str, role: Role, purpose: str, **settings: str) -> str:
    """`url` with everything a connection of Daybook's needs; `purpose` names it."""
    options = " ".join(
        f"-c {name}={value}" for name, value in (_SETTINGS | settings).items()
    )
    return make_conninfo(
        url,
        options=f"-c role={role} {options}",
        application_name=f"daybook {purpose}",
        connect_timeout=3,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )


async def connect(url: str, role: Role, purpose: str, **settings: str) -> Connection:
    """One connection in autocommit mode, rows as named tuples."""
    connecting = asyncio.ensure_future(
        AsyncConnection.connect(
            conninfo(url, role, purpose, **settings),
            autocommit=True,
            row_factory=namedtuple_row,
        )
    )
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # Cut short, psycopg would leave a half-made connection open: let it come, close it.
        await asyncio.wait([connecting])
        if not connecting.cancelled() and connecting.exception() is None:
            await connecting.result().close()
        raise


async def one(connection: Connection, query: LiteralString, params: Any = None) -> Any:
    """The row of a statement that always has one."""
    row = await (await connection.execute(query, params)).fetchone()
    if row is None:
        raise LookupError("the statement returned no row")
    return row


def watch(pool: BasePool) -> None:
    """Show the pool in the metrics, under its name."""
    _CONNECTIONS.add(pool)
    _WAITING.add(pool)


def _use(pool: BasePool) -> list[tuple[Sequence[str], float]]:
    stats = pool.get_stats()
    size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
    return [((pool.name, "idle"), idle), ((pool.name, "used"), size - idle)]


_CONNECTIONS: Watched[BasePool] = Watched(
    "daybook_pool_connections",
    "Connections of each pool.",
    _use,
    labels=["pool", "state"],
)
_WAITING: Watched[BasePool] = Watched(
    "daybook_pool_waiting",
    "Who waits for a connection of each pool.",
    lambda pool: [((pool.name,), pool.get_stats().get("requests_waiting", 0))],
    labels=["pool"],
)


class Database:
    """A pool of connections in one role; opened and closed by the process's root."""

    def __init__(self, url: str, role: Role, purpose: str, *, size: int = 4) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo(url, role, purpose),
            name=purpose,
            kwargs={"autocommit": True, "row_factory": namedtuple_row},
            min_size=1,
            max_size=size,
            timeout=3,
            # A restarted database leaves dead connections behind: look before use.
            check=AsyncConnectionPool.check_connection,
            # Short, so that the next request tries anew instead of waiting out a
            # long back-off after the database has come back.
            reconnect_timeout=1,
            open=False,
        )
        watch(self._pool)

    async def open(self) -> None:
        """Begin connecting; without waiting, so that it can begin before the database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode; raises Unavailable when there is none."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except AWAY as error:
            raise Unavailable from error

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """A transaction that sees this tenant and no other."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute(
                "select set_config('app.tenant_id', %s, true)", (str(tenant_id),)
            )
            yield connection


class Link:
    """One connection for one loop of work: made when needed, made anew after a loss."""

    def __init__(self, url: str, role: Role, purpose: str, **settings: str) -> None:
        self._arguments, self._settings = (url, role, purpose), settings
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def connection(self) -> Connection:
        """The live connection; raises one of AWAY. Who comes together shares one."""
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                url, role, purpose = self._arguments
                self._connection = await connect(url, role, purpose, **self._settings)
            return self._connection

    async def rows(
        self, query: LiteralString, params: Any = None, *, binary: bool = False
    ) -> list[Any]:
        """Run one statement; its rows. Raises psycopg.Error; closes a lost connection.

        `binary`: how values come back; cheaper where there are times, ids and bytes.
        """
        connection = await self.connection()
        try:
            cursor = await connection.execute(query, params, binary=binary)
            return await cursor.fetchall() if cursor.description else []
        except AWAY:
            await self.close()
            raise

    async def close(self) -> None:
        """Close; the next use connects again."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
