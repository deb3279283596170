"""Columns as the server reads them: what psycopg would have sent, or the same refusal."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projections.log import columns
from projections.log.columns import (
    Bigints,
    Bytes,
    Column,
    Integers,
    Texts,
    Times,
    Uuids,
)

MOMENT = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
EAST = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=45)))

SENT: Sequence[tuple[str, type[Column], list[Any]]] = (
    ("uuid", Uuids, [UUID(int=7), None, UUID(int=2**128 - 1)]),
    ("text", Texts, ["", None, "NULL", '{"a",\\}', "Größe 🏗", " "]),
    ("bytea", Bytes, [b"", None, b"\0\\x", bytes(range(256))]),
    ("int", Integers, [0, None, -(2**31), 2**31 - 1]),
    ("bigint", Bigints, [0, None, -(2**63), 2**63 - 1]),
    ("timestamptz", Times, [MOMENT, None, EAST, datetime(2026, 11, 20, tzinfo=UTC)]),
)


@pytest.fixture
def connection(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as made:
        columns.register(made)
        made.execute("set timezone to 'UTC'")
        yield made


def test_what_is_sent_is_what_arrives(connection: psycopg.Connection[Any]) -> None:
    for kind, column, values in SENT:
        for sent in (values, values[:1], [None, None], []):
            query = f"select %b::{kind}[], array_ndims(%b::{kind}[])".encode()
            row = connection.execute(query, [column(sent)] * 2, binary=True).fetchone()
            assert row == (sent, 1 if sent else None), kind


def test_a_time_without_a_zone_is_in_utc(connection: psycopg.Connection[Any]) -> None:
    column = Times([MOMENT.replace(tzinfo=None)])
    row = connection.execute("select %b::timestamptz[]", [column]).fetchone()
    assert row == ([MOMENT],)


@pytest.mark.parametrize(
    ("kind", "column", "error"),
    [
        ("int", Integers([2**31]), psycopg.DataError),
        ("bigint", Bigints([-(2**63) - 1]), psycopg.DataError),
        ("text", Texts(["a\0b"]), psycopg.DataError),
        ("text", Texts(["\ud800"]), UnicodeError),
    ],
)
def test_what_cannot_be_kept_is_the_contents_fault(
    connection: psycopg.Connection[Any],
    kind: str,
    column: Column,
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        connection.execute(f"select %b::{kind}[]".encode(), [column])
    assert connection.execute("select 1").fetchone() == (1,)
