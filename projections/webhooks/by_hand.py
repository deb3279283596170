"""What is asked for by hand: one more attempt of a delivery, or dead ones owed again.

It is written into what is owed, beside the worker that sends from there. A worker takes a
row in one statement and ends a lane by a count (see `open_lanes`), so whoever is quicker,
the row is attempted once more and no row is without a lane.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.ids import DeliveryKey
from projections import postgres
from projections.postgres import Connection
from projections.sql import Queries
from projections.webhooks.deliveries import Delivery

QUERIES = Queries("projections.webhooks", "by_hand.sql")
STEP = 1000  # rows in one transaction: some tens of milliseconds


class Dead(NamedTuple):
    """Which dead deliveries of a webhook: those of `keys`, or of an interval, or all."""

    tenant_id: UUID
    webhook_id: UUID
    since: datetime | None = None
    until: datetime | None = None
    keys: Sequence[DeliveryKey] | None = None


class _Place(NamedTuple):
    """A place in the order in which dead deliveries are found."""

    code: int
    position: int


async def retry(connection: Connection, tenant_id: UUID, of: Delivery) -> bool:
    """Have one attempt made now; False when the delivery or its webhook has moved on.

    One that waits for its first attempt is left as it is: it is sent as soon as its lane
    has room, and marking it due would race with the worker that takes it just now.
    """
    place = {
        "tenant_id": tenant_id,
        "webhook_id": of.webhook_id,
        "replay": of.replay,
        "replays": [of.replay],
        "position": of.position,
    }
    await connection.execute(QUERIES["open_lanes"], place)
    name = _statement(of)
    if name and not await (await connection.execute(QUERIES[name], place)).fetchone():
        return False
    await _tell(connection, place)
    return True


def _statement(of: Delivery) -> str | None:
    if of.state == "pending":
        return None
    if of.state == "retrying":
        return "retry_waiting"
    return "retry_held" if of.is_owed else "retry_finished"


class Redrive:
    """Owes dead deliveries again, step by step, each a transaction.

    A process that dies in between has redriven some; asked again, the others follow. What
    dies after the beginning is left, so it ends.
    """

    def __init__(self, dead: Dead, began_at: datetime) -> None:
        self._dead = dead
        self._params = dead._asdict() | {"began_at": began_at, "most": STEP}
        self._place: _Place | None = _Place(-1, 1)
        self._holds = True

    @property
    def is_done(self) -> bool:
        """Whether the last step was the last."""
        return self._place is None

    async def step(self, connection: Connection) -> int:
        """Some more, within a transaction of the tenant; how many."""
        if self._holds:
            return await self._release(connection)
        if self._place is None:
            return 0
        if self._dead.keys is None:
            found = await self._next(connection, self._place)
        else:
            found = [(key.position, key.replay) for key in self._dead.keys]
            self._place = None
        return await self._redrive(connection, found)

    async def _release(self, connection: Connection) -> int:
        """Those that hold their streams."""
        cursor = await connection.execute(QUERIES["held_lanes"], self._params)
        lanes = [row.replay for row in await cursor.fetchall()]
        count = 0
        if lanes:
            keys = self._dead.keys
            chosen = {
                "replays": None if keys is None else [key.replay for key in keys],
                "positions": None if keys is None else [key.position for key in keys],
            }
            await connection.execute(
                QUERIES["open_lanes"], self._params | {"replays": lanes}
            )
            row = await postgres.one(
                connection, QUERIES["redrive_held"], self._params | chosen
            )
            count = row.count
            await _tell(connection, self._params)
        self._holds = count == STEP
        return count

    async def _next(
        self, connection: Connection, place: _Place
    ) -> list[tuple[int, int]]:
        params = self._params | place._asdict()
        rows = await (
            await connection.execute(QUERIES["dead_letters"], params)
        ).fetchall()
        if len(rows) == STEP:
            # Of the last position there may be more, but for what was a whole step of it.
            last = max(rows[-1].position, place.position + 1)
            self._place = _Place(place.code, last)
        else:
            self._place = await self._next_code(connection, params)
        return [(row.position, row.replay) for row in rows if row.is_meant]

    async def _next_code(
        self, connection: Connection, params: dict[str, Any]
    ) -> _Place | None:
        cursor = await connection.execute(QUERIES["dead_code"], params)
        row = await cursor.fetchone()
        return row and _Place(row.code, 1)

    async def _redrive(
        self, connection: Connection, found: Sequence[tuple[int, int]]
    ) -> int:
        if not found:
            return 0
        positions, replays = zip(*found, strict=True)
        lanes = {"replays": sorted(set(replays))}
        await connection.execute(QUERIES["open_lanes"], self._params | lanes)
        params = self._params | {
            "positions": list(positions),
            "replays": list(replays),
        }
        row = await postgres.one(connection, QUERIES["redrive"], params)
        await _tell(connection, self._params)
        return int(row.count)


async def begin(connection: Connection, dead: Dead) -> Redrive:
    """A redrive of what is dead by now."""
    row = await postgres.one(connection, QUERIES["began_at"])
    return Redrive(dead, row.began_at)


async def _tell(connection: Connection, params: dict[str, Any]) -> None:
    await connection.execute(QUERIES["poke"], params)
    await connection.execute(QUERIES["notify_work"])
