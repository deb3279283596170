"""What an operator does to projections: look, pause, decide on errors, rebuild.

Everything is a row that the workers find; nothing here does their work. Each change ends
with a wake-up, so they find it at once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from domain import ids
from domain.errors import Fault, Invalid, NotFound
from projections import health, registry, rows
from projections.health import Checkpoint
from projections.postgres import Connection, one
from projections.projection import Rebuildable
from projections.sql import Queries

QUERIES = Queries("projections", "control.sql")
UNFINISHED = ("running", "ready")


class Rebuild(NamedTuple):
    """A rebuild, asked for or done; positions are the log's, `rate` is events a second."""

    name: str
    tenant_id: UUID | None
    version: int
    state: str
    accept: bool
    position: int
    target: int
    rate: float | None
    parity: dict[str, Any] | None
    error: str | None
    asked_by: str
    started_at: datetime
    finished_at: datetime | None

    @property
    def is_unfinished(self) -> bool:
        """Whether workers, or an operator, have something to do with it still."""
        return self.state in UNFINISHED

    @property
    def remaining_seconds(self) -> float | None:
        """How long it will take from here at its rate; None when nobody can tell."""
        if self.state != "running" or not self.rate:
            return None
        return (self.target - self.position) / self.rate


class Poisoned(NamedTuple):
    """An event that a projection could not apply, and what became of it."""

    error_id: int
    log_position: int
    tenant_id: UUID
    stream: str
    state: str
    error: str
    decided_by: str | None
    retry: bool
    at: datetime


async def projections(
    connection: Connection,
) -> list[tuple[Checkpoint, Rebuild | None]]:
    """Every projection by name, with the rebuild that is not finished, if any."""
    found = await _last_rebuilds(connection, None)
    unfinished = {each.name: each for each in found if each.is_unfinished}
    checkpoints = await health.checkpoints(connection)
    return [(each, unfinished.get(each.name)) for each in checkpoints]


async def pause(connection: Connection, name: str, by: str) -> None:
    """No batch of it runs from now on, until `resume`. Raises NotFound."""
    await _change(connection, QUERIES["pause"], {"name": name, "by": by})


async def resume(connection: Connection, name: str) -> None:
    """It goes on. Raises NotFound."""
    await _change(connection, QUERIES["resume"], {"name": name})


async def errors(
    connection: Connection, name: str, key: int | None, *, limit: int, backwards: bool
) -> list[Poisoned]:
    """Errors after log position `key`, or before it, nearest first. Raises NotFound."""
    await _version(connection, name)
    query = QUERIES["errors_before" if backwards else "errors"]
    params = {"name": name, "key": key, "limit": limit}
    return await rows.many(connection, Poisoned, query, params)


async def retry(connection: Connection, name: str, error_id: int) -> Poisoned:
    """Try an event again, and what waits behind it. Raises NotFound, Invalid."""
    found = await _error(connection, name, error_id)
    if found.state == "skipped":
        detail = "it was skipped, and what follows it has been applied"
        raise Invalid([Fault("#", "invalid", detail)], detail)
    params = {"name": name, "error_id": error_id}
    await _run(connection, QUERIES["retry"], params)
    return found._replace(retry=found.state == "parked")


async def skip(connection: Connection, name: str, error_id: int, by: str) -> Poisoned:
    """Leave an event out for good. Raises NotFound."""
    params = {"name": name, "error_id": error_id, "by": by}
    await _run(connection, QUERIES["skip"], params)
    return await _error(connection, name, error_id)


async def rebuild(connection: Connection, name: str) -> Rebuild:
    """The last rebuild of a projection. Raises NotFound when there was none."""
    found = await _last_rebuilds(connection, name)
    if not found:
        raise NotFound
    return found[0]


async def start_rebuild(
    connection: Connection,
    name: str,
    by: str,
    *,
    tenant_id: UUID | None = None,
    accept: bool = False,
    among: Sequence[Rebuildable] = registry.REBUILDABLE,
) -> Rebuild:
    """Ask for its rows, or one tenant's, to be made anew. Raises NotFound, Invalid."""
    live = await _version(connection, name)
    version = _rebuildable(name, among).version
    if tenant_id is not None:
        await _check_tenant(connection, tenant_id)
    if live > version or (tenant_id is not None and live != version):
        raise _refused(
            f"its live rows are of version {live} and this code writes version {version}"
        )
    params = {
        "rebuild_id": ids.new(),
        "name": name,
        "tenant_id": tenant_id,
        "version": version,
        "accept": accept,
        "by": by,
    }
    if not await _run(connection, QUERIES["start_rebuild"], params):
        raise _refused("a rebuild of it is not finished: cancel it, or wait")
    return await rebuild(connection, name)


async def cancel_rebuild(connection: Connection, name: str) -> Rebuild:
    """End the rebuild; it may have finished meanwhile. Raises NotFound."""
    before = await rebuild(connection, name)
    if not before.is_unfinished:
        raise NotFound
    await _run(connection, QUERIES["cancel_rebuild"], {"name": name})
    return await rebuild(connection, name)


async def accept_rebuild(connection: Connection, name: str) -> Rebuild:
    """Let its rows be live though they differ. Raises NotFound when none runs."""
    await _change(connection, QUERIES["accept_rebuild"], {"name": name})
    return await rebuild(connection, name)


async def _last_rebuilds(connection: Connection, name: str | None) -> list[Rebuild]:
    params = {"name": name}
    return await rows.many(connection, Rebuild, QUERIES["last_rebuilds"], params)


async def _version(connection: Connection, name: str) -> int:
    cursor = await connection.execute(QUERIES["checkpoint"], {"name": name})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound
    return int(row.version)


async def _error(connection: Connection, name: str, error_id: int) -> Poisoned:
    params = {"name": name, "error_id": error_id}
    found = await rows.first(connection, Poisoned, QUERIES["error"], params)
    if found is None:
        raise NotFound
    return found


def _rebuildable(name: str, among: Sequence[Rebuildable]) -> Rebuildable:
    for each in among:
        if each.name == name:
            return each
    raise _refused("it is a record of what was done, and cannot be made again")


async def _check_tenant(connection: Connection, tenant_id: UUID) -> None:
    query, params = QUERIES["tenant_exists"], {"tenant_id": tenant_id}
    if not (await one(connection, query, params)).found:
        fault = Fault("#/tenant_id", "invalid", "there is no such tenant")
        raise Invalid([fault])


def _refused(detail: str) -> Invalid:
    return Invalid([Fault("#", "invalid", detail)], detail)


async def _change(
    connection: Connection, query: LiteralString, params: dict[str, Any]
) -> None:
    if not await _run(connection, query, params):
        raise NotFound


async def _run(
    connection: Connection, query: LiteralString, params: dict[str, Any]
) -> int:
    """Run a change and wake the workers, in one transaction; how many rows changed."""
    async with connection.transaction():
        changed = (await connection.execute(query, params)).rowcount
        await connection.execute(QUERIES["wake"])
    return changed
