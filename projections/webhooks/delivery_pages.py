"""Pages of deliveries, by any filter, of replays as of live ones.

The order is that of the log, and within an event of replays and webhooks; it never
changes, so a page begins where the last one ended, whatever happens in between. Webhook,
state, status and replay are found in indexes. Types are not: of these the events are looked
at, so many for a page, and a page may end before it is full, with the place to go on from.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from projections import rows
from projections.log import ranges
from projections.log import views as log
from projections.log.ranges import Ranges
from projections.postgres import Connection
from projections.sql import Queries
from projections.webhooks.deliveries import Delivery

QUERIES = Queries("projections.webhooks", "delivery_pages.sql")
# How many events of the right types a page looks at first, and at most. Where few of them
# were owed it looks at ever more, some tens of milliseconds in all.
SPAN, WIDER, MOST_EVENTS = 500, 8, 20_000
# States of what has begun, or is to be skipped: its position is not beyond the lane's
# `sent_through` and `skip_through`. Of a deleted webhook all that is owed is cancelled.
_BEGUN = {"sending", "retrying", "dead", "succeeded", "cancelled"}
_LAST_REPLAY, _LAST_WEBHOOK = 2**31 - 1, UUID(int=2**128 - 1)
_NO_WEBHOOK = UUID(int=0)
_LAST_POSITION = 2**53


class ReplayKey(NamedTuple):
    """A replay, as rows name it."""

    webhook_id: UUID
    replay: int


class Selection(NamedTuple):
    """Which deliveries: those that pass all filters.

    Live ones of the events at `first` to `last`; and those of `replays`, None: of all, at
    the same positions. Without `live` none but those of `replays`. Of one event: at its
    `position`.
    """

    first: int
    last: int
    live: bool = True
    replays: Sequence[ReplayKey] | None = None
    position: int | None = None
    webhook_id: UUID | None = None
    states: Sequence[str] | None = None
    types: Sequence[str] | None = None
    status_code: int | None = None


class Key(NamedTuple):
    """A place in the list of deliveries; it never changes."""

    position: int
    replay: int
    webhook_id: UUID

    @classmethod
    def of(cls, row: Delivery) -> "Key":
        """The place of a delivery."""
        return cls(row.position, row.replay, row.webhook_id)


BEFORE_ALL = Key(0, 0, _NO_WEBHOOK)
BEYOND_ALL = Key(2**62, _LAST_REPLAY, _LAST_WEBHOOK)


class Found(NamedTuple):
    """Deliveries, nearest first; `stopped`: the place to go on from when it was given up
    there, though there may be more."""

    rows: list[Delivery]
    stopped: Key | None = None


class _Left(NamedTuple):
    """The positions that are not looked at yet."""

    low: int
    high: int


async def page(
    connection: Connection,
    tenant_id: UUID,
    selection: Selection,
    key: Key,
    *,
    limit: int,
    newer: bool,
) -> Found:
    """The deliveries next to `key`, nearest first: older ones, or newer ones."""
    params = _params(tenant_id, selection, key, newer=newer) | {"limit": limit}
    if selection.types is None or selection.position is not None:
        return Found(await _rows(connection, params, newer=newer))
    left = await _left(connection, tenant_id, selection, key, newer=newer)
    found: list[Delivery] = []
    looked, size = 0, SPAN
    while left.low <= left.high and len(found) < limit:
        if looked >= MOST_EVENTS:
            return Found(found, _stop(left, newer=newer))
        events = log.Selection(left.low - 1, left.high + 1, selection.types)
        positions = await log.positions(
            connection, tenant_id, events, limit=size, backwards=not newer
        )
        params |= {"positions": positions, "limit": limit - len(found)}
        found += await _rows(connection, params, newer=newer)
        if len(positions) < size:
            break
        looked += size
        size = min(size * WIDER, MOST_EVENTS - looked)
        end = positions[-1]
        left = _Left(end + 1, left.high) if newer else _Left(left.low, end - 1)
    return Found(found)


async def replays_between(
    connection: Connection,
    tenant_id: UUID,
    webhook_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
) -> list[ReplayKey]:
    """The replays that were asked for in an interval."""
    params = {
        "tenant_id": tenant_id,
        "webhook_id": webhook_id,
        "since": since,
        "until": until,
    }
    return await rows.many(connection, ReplayKey, QUERIES["replays_between"], params)


async def _rows(
    connection: Connection, params: dict[str, Any], *, newer: bool
) -> list[Delivery]:
    query = QUERIES["page_newer" if newer else "page_older"]
    # Its best plan depends on which filters are given: it must not be kept.
    return await rows.many(connection, Delivery, query, params, prepare=False)


async def _left(
    connection: Connection,
    tenant_id: UUID,
    selection: Selection,
    key: Key,
    *,
    newer: bool,
) -> _Left:
    """Where deliveries of such types can be: where a webhook asked for them."""
    params = {"tenant_id": tenant_id, "webhook_id": selection.webhook_id}
    cursor = await connection.execute(QUERIES["patterns_owed"], params)
    wanted = ranges.of_types(selection.types or ())
    asked = [
        row
        for row in await cursor.fetchall()
        if _overlap(ranges.of_types([row.pattern]), wanted)
    ]
    if not asked:
        return _Left(1, 0)
    low = min(row.first for row in asked)
    high = min(max(row.last for row in asked), _LAST_POSITION)
    if not selection.replays:  # those of other replays have the positions of live ones
        low, high = max(low, selection.first), min(high, selection.last)
    if newer:
        return _Left(max(low, key.position), high)
    return _Left(low, min(high, key.position))


def _overlap(some: Ranges, others: Ranges) -> bool:
    return any(
        low < their_high and their_low < high
        for low, high in zip(*some, strict=True)
        for their_low, their_high in zip(*others, strict=True)
    )


def _stop(left: _Left, *, newer: bool) -> Key:
    """A key between what was looked at and what was not."""
    if newer:
        return Key(left.low - 1, _LAST_REPLAY, _LAST_WEBHOOK)
    return Key(left.high + 1, 0, _NO_WEBHOOK)


def _params(
    tenant_id: UUID, selection: Selection, key: Key, *, newer: bool
) -> dict[str, Any]:
    states = set(selection.states or ())
    first, last = selection.first, selection.last
    return {
        "tenant_id": tenant_id,
        "way": _way(selection),
        "first": max(first, key.position) if newer else first,
        "last": last if newer else min(last, key.position),
        "live": selection.live,
        "every_replay": selection.replays is None,
        "webhooks": [each.webhook_id for each in selection.replays or ()],
        "replays": [each.replay for each in selection.replays or ()],
        "webhook_id": selection.webhook_id,
        "states": list(states) or None,
        "status_code": selection.status_code,
        # Only what has begun was answered.
        "begun": selection.status_code is not None or _are(states, _BEGUN),
        "or_cancelled": "cancelled" in states,
        "held": _are(states, {"dead", "succeeded"}),
        "cancelled": _are(states, {"cancelled", "succeeded"}),
        "positions": None if selection.position is None else [selection.position],
        "key_position": key.position,
        "key_replay": key.replay,
        "key_webhook": key.webhook_id,
    }


def _are(states: set[str], some: set[str]) -> bool:
    """Whether states are asked for, and no others than these."""
    return bool(states) and states <= some


def _way(selection: Selection) -> Literal["groups", "log", "replays"]:
    """How finished live deliveries are found soonest; see `page_older`."""
    if not selection.live:
        return "replays"
    if selection.types is not None or selection.position is not None:
        return "log"
    by_outcome = (selection.webhook_id, selection.states, selection.status_code)
    return "groups" if any(by_outcome) else "log"
