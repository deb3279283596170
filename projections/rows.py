"""Rows as typed values: a NamedTuple for each shape that a view reads."""

from typing import Any, LiteralString, TypeVar

from psycopg.rows import class_row

from projections.postgres import Connection

T = TypeVar("T")


async def many(
    connection: Connection,
    kind: type[T],
    query: LiteralString,
    params: dict[str, Any],
    *,
    prepare: bool | None = None,
    binary: bool = False,
) -> list[T]:
    """All rows; `prepare=False` for statements whose best plan depends on the values."""
    async with connection.cursor(row_factory=class_row(kind), binary=binary) as cursor:
        await cursor.execute(query, params, prepare=prepare)
        return await cursor.fetchall()


async def first(
    connection: Connection, kind: type[T], query: LiteralString, params: dict[str, Any]
) -> T | None:
    """The first row, if any."""
    found = await many(connection, kind, query, params)
    return found[0] if found else None
