"""Connections for the library's recorders: few, blocking, each call a transaction."""

from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

from domain.errors import Unavailable
from projections import postgres
from projections.sql import Queries

QUERIES = Queries("projections.log")

Pool = ConnectionPool[psycopg.Connection[Any]]


def open_pool(url: str, role: postgres.Role) -> Pool:
    """A pool in one role; it connects when there is something to ask."""
    pool: Pool = ConnectionPool(
        postgres.conninfo(url, role, "recorder"),
        name="recorder",
        kwargs={"autocommit": True, "row_factory": namedtuple_row},
        min_size=0,
        max_size=1,  # commands load one aggregate each, in a millisecond
        timeout=3,
        check=ConnectionPool.check_connection,
        reconnect_timeout=1,
        open=True,
    )
    postgres.watch(pool)
    return pool


def rows(
    pool: Pool, query: Any, params: dict[str, Any], tenant_id: UUID | None = None
) -> list[Any]:
    """What a statement finds, of the tenant if one is given; raises Unavailable."""
    try:
        with pool.connection() as connection, connection.transaction():
            if tenant_id is not None:
                tenant = {"tenant_id": str(tenant_id)}
                connection.execute(QUERIES["enter_tenant"], tenant)
            return connection.execute(query, params).fetchall()
    except postgres.AWAY as error:
        raise Unavailable from error
