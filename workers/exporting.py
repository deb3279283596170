"""A tenant's own copy: all of its events and its configuration, as lines of JSON in a file.

    {"kind":"export", ...}           which tenant, which log
    {"kind":"event","position":1 …}  each event; `data` as it was sent
    {"kind":"configuration", ...}    what is set: the tenant, keys, webhooks, event types
    {"kind":"end", ...}              how many events; SHA-256 of all that stands before

It is read in the role of the tenant's own requests, so nothing of another tenant can get
into it. Events never change, so an export that was cut off goes on behind the last whole
event in the file; and one that was finished goes on with what has come since.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from msgspec import Raw
from psycopg import IsolationLevel
from psycopg.rows import namedtuple_row

from domain import clock, ids
from domain.log import entry
from projections import postgres
from projections.sql import Queries

QUERIES = Queries("workers", "exporting.sql")
PAGE = 1000
_EVENT = re.compile(rb'\{"kind":"event","position":(\d+),')
# Within texts JSON has no line breaks; between members they mean nothing.
_ON_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_ID_MEMBERS: dict[str, ids.Prefix] = {
    "tenant_id": "ten",
    "key_id": "key",
    "webhook_id": "wh",
}

Connection = psycopg.Connection[Any]


class ExportError(RuntimeError):
    """There is no such tenant, or the file is of something else; the message says it."""


class Exported(NamedTuple):
    """What the file has by now."""

    events: int
    sha256: str


class Export:
    """A file with some of the events, open at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.position = 0  # of the last event in it

    @property
    def sha256(self) -> str:
        """Of all lines so far."""
        return self._digest.hexdigest()

    def begin(self, head: dict[str, Any]) -> None:
        """Go to behind the last whole event. Raises ExportError."""
        wanted = msgspec.json.encode(head) + b"\n"
        first = self._file.readline()
        if first != wanted:
            if first.endswith(b"\n"):
                raise ExportError("the file is there, and it is of something else")
            self._cut(0)
            self._append(wanted)
            return
        self._digest.update(first)
        end = self._file.tell()
        for line in self._file:
            found = _EVENT.match(line)
            if found is None or not line.endswith(b"\n"):
                break
            self._count(int(found[1]))
            self._digest.update(line)
            end += len(line)
        self._cut(end)

    def write(self, line: dict[str, Any]) -> None:
        """One more line."""
        self._append(msgspec.json.encode(line) + b"\n")

    def write_event(self, row: Any) -> None:
        """One more event. Raises ExportError when one before it is missing."""
        self._count(row.position)
        self.write(_event(row))

    def sync(self) -> None:
        """What was written survives a crash of this machine."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _append(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)

    def _cut(self, end: int) -> None:
        self._file.seek(end)
        self._file.truncate()

    def _count(self, position: int) -> None:
        if position != self.position + 1:
            raise ExportError(f"the event at position {self.position + 1} is missing")
        self.position = position


def export(url: str, tenant_id: UUID, path: Path) -> Exported:
    """Write the tenant's export, or go on with the one in the file.

    Raises ExportError, OSError, psycopg.Error.
    """
    with connected(url) as connection:
        with of_tenant(connection, tenant_id):
            head = _head(connection, tenant_id)
        with _opened(path) as file:
            written = Export(file)
            written.begin(head)
            while not _write_page(connection, tenant_id, written):
                pass
            written.sync()
        return Exported(written.position, written.sha256)


def _write_page(connection: Connection, tenant_id: UUID, file: Export) -> bool:
    """Write the next events; with the last of them, from the same snapshot, the rest.

    Each page has a transaction of its own: a long one would keep rows from being cleared
    away.
    """
    params = {"tenant_id": tenant_id, "after": file.position, "limit": PAGE}
    with of_tenant(connection, tenant_id):
        rows = connection.execute(QUERIES["events_after"], params).fetchall()
        for row in rows:
            file.write_event(row)
        if len(rows) == PAGE:
            return False
        for row in connection.execute(QUERIES["configuration"], params).fetchall():
            line = {"kind": "configuration", "thing": row.thing}
            file.write(line | {"settings": _public(row.settings)})
    end = {"kind": "end", "at": clock.rfc3339(clock.now()), "events": file.position}
    file.write(end | {"sha256": file.sha256})
    return True


def _head(connection: Connection, tenant_id: UUID) -> dict[str, Any]:
    found = connection.execute(QUERIES["head"], {"tenant_id": tenant_id}).fetchone()
    if found is None:
        raise ExportError("there is no such tenant")
    tenant = ids.encode("ten", tenant_id)
    return {"kind": "export", "version": 1, "tenant_id": tenant, "log": str(found.log)}


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection as a tenant's requests have it, and one snapshot a transaction."""
    conninfo = postgres.conninfo(url, "daybook_app", "export")
    with psycopg.connect(
        conninfo, autocommit=True, row_factory=namedtuple_row
    ) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        yield connection


@contextmanager
def of_tenant(connection: Connection, tenant_id: UUID) -> Iterator[None]:
    """A transaction that sees this tenant and no other."""
    with connection.transaction():
        connection.execute(QUERIES["enter_tenant"], {"tenant_id": str(tenant_id)})
        yield


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """For its owner alone: there are a tenant's data in it."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        yield file


def _event(row: Any) -> dict[str, Any]:
    return {
        "kind": "event",
        "position": row.position,
        "id": row.event_id,
        "type": row.type,
        "stream": row.stream,
        "version": row.version,
        "source": row.source or entry.DEFAULT_SOURCE,
        "source_id": row.source_id,
        "subject": row.subject,
        "data": _raw(row.state),
        "metadata": _raw(row.metadata or b"{}"),
        "occurred_at": clock.rfc3339(row.occurred_at),
        "recorded_at": clock.rfc3339(row.recorded_at),
        "actor": entry.describe_actor(row.actor),
        "correlation_id": row.correlation_id,
        "causation_id": row.causation_id,
        "depth": row.depth,
    }


def _raw(stored: bytes) -> Raw:
    return Raw(stored.translate(_ON_ONE_LINE))


def _public(settings: dict[str, Any]) -> dict[str, Any]:
    """Ids as the API writes them."""
    return settings | {
        name: ids.encode(prefix, UUID(settings[name]))
        for name, prefix in _ID_MEMBERS.items()
        if name in settings
    }
