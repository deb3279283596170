"""Replays as rows: what the API reads of them, and what a worker carries them on by."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.webhooks.replay import State
from projections import rows
from projections.postgres import Connection
from projections.sql import Queries
from projections.webhooks.lanes import LaneKey
from projections.webhooks.past import Choice, Piece

QUERIES = Queries("projections.webhooks", "replays.sql")
DEATHS = Queries("projections.webhooks", "deaths.sql")
AHEAD = 5000  # rows that may wait to be sent before more are owed


class Replay(NamedTuple):
    """A replay as it is now; it has looked through the log up to `cursor`."""

    webhook_id: UUID
    replay: int
    replay_id: UUID
    state: State
    from_position: int
    to_position: int
    event_types: list[str] | None
    only_failed: bool
    planned: int | None
    handed_off: int
    succeeded: int
    dead: int
    cursor: int
    created_at: datetime
    finished_at: datetime | None


def choice(key: LaneKey, work: Any) -> Choice:
    """What a replay owes; `work` is a row of `replay_work`."""
    return Choice(
        tenant_id=key.tenant_id,
        webhook_id=key.webhook_id,
        patterns=work.patterns,
        streams=work.streams,
        filter=work.filter,
        only_failed=work.only_failed,
    )


def owed_params(key: LaneKey, epoch: int, piece: Piece) -> dict[str, Any]:
    """The parameters of `hand_off_replay`."""
    return key._asdict() | piece._asdict() | {"epoch": epoch}


async def wanted(
    connection: Connection,
    tenant_id: UUID,
    webhook_id: UUID,
    *,
    event_types: list[str] | None,
    only_failed: bool,
) -> Choice | None:
    """What a replay asked for now would owe; None when there is no such webhook."""
    params = {"tenant_id": tenant_id, "webhook_id": webhook_id}
    cursor = await connection.execute(QUERIES["replay_choice"], params)
    row = await cursor.fetchone()
    if row is None:
        return None
    return Choice(
        tenant_id=tenant_id,
        webhook_id=webhook_id,
        patterns=event_types or row.event_types,
        streams=row.streams,
        filter=row.filter,
        only_failed=only_failed,
    )


async def replay(
    connection: Connection, tenant_id: UUID, replay_id: UUID
) -> Replay | None:
    """One replay."""
    params = {"tenant_id": tenant_id, "replay_id": replay_id}
    return await rows.first(connection, Replay, QUERIES["replay"], params)


async def replays(
    connection: Connection,
    tenant_id: UUID,
    webhook_id: UUID,
    key: int | None,
    *,
    limit: int,
    newer: bool,
) -> list[Replay]:
    """A webhook's replays before the one with number `key`, or after it, nearest first."""
    query = QUERIES["replays_newer" if newer else "replays"]
    params = {
        "tenant_id": tenant_id,
        "webhook_id": webhook_id,
        "key": key,
        "limit": limit,
    }
    return await rows.many(connection, Replay, query, params)
