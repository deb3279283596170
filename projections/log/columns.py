"""Columns of a group on their way to the server: whole arrays in Postgres's binary form.

psycopg looks at each value anew to find out what it is, which took as long as all else that
the appender does for an event. Here each column has its type beforehand; one more thing
follows: the call is the same prepared statement, whichever values are missing.
"""

import struct
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD = struct.Struct(
    "!iiIii"
)  # dimensions, whether there are nulls, type, length, from
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
_EMPTY = struct.Struct("!iiI")
_EPOCH, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Column(list[Any]):
    """Values of one column, None among them; which type they have says the subclass."""


class Uuids(Column):
    """Of UUID."""


class Texts(Column):
    """Of str; one that UTF-8 cannot hold raises UnicodeError."""


class Bytes(Column):
    """Of bytes."""


class Integers(Column):
    """Of int, 32 bits; beyond that psycopg.DataError."""


class Bigints(Column):
    """Of int, 64 bits; beyond that psycopg.DataError."""


class Times(Column):
    """Of datetime; a naive one is in UTC, as the connection is."""


class _ColumnDumper(Dumper):
    format = Format.BINARY
    element_oid: int

    def dump(self, obj: Sequence[Any]) -> Buffer:
        nulls = obj.count(None)
        if not obj:
            return _EMPTY.pack(0, 0, self.element_oid)
        head = _HEAD.pack(1, nulls > 0, self.element_oid, len(obj), 1)
        if nulls == len(obj):
            return head + _NULL * nulls
        parts = [head]
        for value in obj:
            if value is None:
                parts.append(_NULL)
            else:
                element = self.element(value)
                parts.append(_LENGTH(len(element)))
                parts.append(element)
        return b"".join(parts)

    @abstractmethod
    def element(self, value: Any) -> bytes:
        """One value as the server takes it."""


class _UuidsDumper(_ColumnDumper):
    oid, element_oid = 2951, 2950

    def element(self, value: UUID) -> bytes:
        return value.bytes


class _TextsDumper(_ColumnDumper):
    oid, element_oid = 1009, 25

    def element(self, value: str) -> bytes:
        return value.encode()


class _BytesDumper(_ColumnDumper):
    oid, element_oid = 1001, 17

    def element(self, value: bytes) -> bytes:
        return value


class _IntegersDumper(_ColumnDumper):
    oid, element_oid = 1007, 23
    size = 4

    def element(self, value: int) -> bytes:
        try:
            return value.to_bytes(self.size, signed=True)
        except OverflowError as error:
            raise psycopg.DataError("a number is too large for its column") from error


class _BigintsDumper(_IntegersDumper):
    oid, element_oid = 1016, 20
    size = 8


class _TimesDumper(_ColumnDumper):
    oid, element_oid = 1185, 1184

    def element(self, value: datetime) -> bytes:
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return ((moment - _EPOCH) // _MICROSECOND).to_bytes(8, signed=True)


_DUMPERS: Mapping[type[Column], type[Dumper]] = {
    Uuids: _UuidsDumper,
    Texts: _TextsDumper,
    Bytes: _BytesDumper,
    Integers: _IntegersDumper,
    Bigints: _BigintsDumper,
    Times: _TimesDumper,
}


def register(connection: psycopg.Connection[Any]) -> None:
    """Let this connection take columns as parameters."""
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)
