"""Rebuilds: a read model made anew from the log while the old one goes on answering.

The new rows grow beside the live ones as another generation, batch by batch, each with the
rebuild's own position: a worker that is killed leaves whole batches, and the next goes on.
Near the head the live rows are held still for a moment, both sets are brought to the same
position and compared, and one number, the generation that readers look for, moves. Nothing
is renamed, nobody waits for a lock of ours, and the old rows are swept away afterwards.

A rebuild has no side effects: it writes rows of its projection and of `rebuilds`, no more.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from projections import poison, postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Connection
from projections.projection import Batch, NeedsNewerCode, Rebuildable
from projections.sql import Queries

QUERIES = Queries("projections", "rebuild.sql")
BATCH = 5000
POLL_SECONDS = 1.0
SWEEP_ROWS = 10_000

log = structlog.get_logger("daybook.rebuild")


class Rebuilder:
    """Does the rebuilds of some projections, in any number of processes."""

    def __init__(self, url: str, projections: Sequence[Rebuildable]) -> None:
        self._url = url
        self._projections = projections
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A rebuild may have been asked for."""
        self._wake.set()

    async def run(self) -> None:
        """Work on what is asked for until cancelled."""
        while True:
            try:
                async with await self._connect() as connection:
                    while True:
                        if not await self.step(connection):
                            await waiting.wake_up(self._wake, POLL_SECONDS)
            except Exception as error:
                if poison.is_passing(error):
                    log.warning("database_away", error=type(error).__name__)
                else:  # a defect of ours; the worker does other things as well
                    log.exception("rebuild_defect")
                await asyncio.sleep(POLL_SECONDS)

    async def step(self, connection: Connection) -> bool:
        """One batch of each projection that is being rebuilt; whether there was any."""
        worked = False
        for projection in self._projections:
            worked |= await self._rebuild(connection, projection)
            worked |= await _sweep(connection, projection)
        return worked

    async def _connect(self) -> Connection:
        connection = await postgres.connect(self._url, "daybook_worker", "rebuild")
        connection.prepare_threshold = None
        return connection

    async def _rebuild(self, connection: Connection, projection: Rebuildable) -> bool:
        try:
            async with connection.transaction():
                cursor = await connection.execute(
                    QUERIES["own_rebuild"], {"name": projection.name}
                )
                rebuild = await cursor.fetchone()
                if rebuild is None or rebuild.version > projection.version:
                    return False
                if rebuild.tenant_id is not None:
                    await _replace_tenant(connection, projection, rebuild)
                    return True
                is_done = await _advance(connection, projection, rebuild)
            failpoint("rebuild.switched" if is_done else "rebuild.batched")
        except NeedsNewerCode as error:
            # Another worker's to do; there is time, the old rows answer.
            log.warning("rebuild_needs_newer_code", error=str(error))
            return False
        except Exception as error:
            if connection.broken or poison.is_passing(error):
                raise
            # Strict: a rebuild that cannot apply an event is no rebuild. The old rows stay.
            log.exception("rebuild_failed", projection=projection.name)
            await self._give_up(connection, projection, error)
        return True

    async def _give_up(
        self, connection: Connection, projection: Rebuildable, error: Exception
    ) -> None:
        async with connection.transaction():
            cursor = await connection.execute(
                QUERIES["own_rebuild"], {"name": projection.name}
            )
            if rebuild := await cursor.fetchone():
                await _finish(
                    connection, rebuild.rebuild_id, "failed", poison.text(error)
                )


async def _advance(
    connection: Connection, projection: Rebuildable, rebuild: Any
) -> bool:
    """The next batch of new rows; at the live position, the switch: then True."""
    generation = rebuild.generation
    if generation is None:
        chosen = {"rebuild_id": rebuild.rebuild_id}
        row = await postgres.one(connection, QUERIES["choose_generation"], chosen)
        generation = row.generation
    name = {"name": projection.name}
    live = await postgres.one(connection, QUERIES["live_position"], name)
    if live.log_position - rebuild.log_position > BATCH:
        batch = Batch(rebuild.log_position, rebuild.log_position + BATCH, generation)
        await _apply(connection, projection, rebuild.rebuild_id, batch)
        failpoint("rebuild.batch")
        return False
    live = await postgres.one(connection, QUERIES["own_live"], name)
    batch = Batch(rebuild.log_position, live.log_position, generation)
    if batch.size:
        await _apply(connection, projection, rebuild.rebuild_id, batch)
    await _switch(connection, projection, rebuild, live.generation, generation)
    return True


async def _apply(
    connection: Connection, projection: Rebuildable, rebuild_id: UUID, batch: Batch
) -> None:
    batch = await poison.as_live(connection, projection.name, batch)
    await projection.apply(connection, batch)
    params = {"rebuild_id": rebuild_id, "through": batch.through}
    await connection.execute(QUERIES["progress"], params)


async def _switch(
    connection: Connection,
    projection: Rebuildable,
    rebuild: Any,
    old: int,
    new: int,
) -> None:
    """Compare both sets at the same position; the same version must be equal.

    A new version differs by intention: it waits as `ready`, with what was found, until an
    operator accepts it.
    """
    before = await projection.checksum(connection, old)
    after = await projection.checksum(connection, new)
    parity = {"equal": before == after, "live": list(before), "rebuilt": list(after)}
    rebuild_id = rebuild.rebuild_id
    if before != after and rebuild.version == rebuild.live_version:
        detail = "the rebuilt rows differ from the live ones of the same version"
        await _finish(connection, rebuild_id, "failed", detail, parity)
        return
    if before != after and not rebuild.accept:
        await _finish(connection, rebuild_id, "ready", None, parity)
        return
    moved = {"name": projection.name, "generation": new, "version": rebuild.version}
    await connection.execute(QUERIES["move_pointer"], moved)
    await _finish(connection, rebuild_id, "switched", None, parity)
    failpoint("rebuild.switch")


async def _replace_tenant(
    connection: Connection, projection: Rebuildable, rebuild: Any
) -> None:
    """One tenant's rows, made anew in place while the checkpoint is held."""
    name = {"name": projection.name}
    live = await postgres.one(connection, QUERIES["own_live"], name)
    await projection.clear_tenant(connection, live.generation, rebuild.tenant_id)
    batch = Batch(0, live.log_position, live.generation, rebuild.tenant_id)
    await _apply(connection, projection, rebuild.rebuild_id, batch)
    await _finish(connection, rebuild.rebuild_id, "switched")


async def _finish(
    connection: Connection,
    rebuild_id: UUID,
    state: str,
    error: str | None = None,
    parity: dict[str, Any] | None = None,
) -> None:
    params = {
        "rebuild_id": rebuild_id,
        "state": state,
        "error": error,
        "parity": None if parity is None else Jsonb(parity),
    }
    await connection.execute(QUERIES["finish"], params)


async def _sweep(connection: Connection, projection: Rebuildable) -> bool:
    """Delete some rows of retired generations; whether there may be more."""
    name = {"name": projection.name}
    kept = await _kept(connection, name)
    if kept is None:
        return False
    if await projection.clear(connection, kept, SWEEP_ROWS) == 0:
        async with connection.transaction():
            # Who retires a generation writes to the checkpoint: none is missed.
            await postgres.one(connection, QUERIES["own_live"], name)
            if await _kept(connection, name) == kept:
                await connection.execute(QUERIES["swept"], name)
    return True


async def _kept(connection: Connection, name: dict[str, str]) -> list[int] | None:
    """The generations that must stay; None when there is nothing to sweep."""
    row = await (await connection.execute(QUERIES["needs_sweep"], name)).fetchone()
    return row and list(row.keep)
