"""What the database says of lanes and their webhooks, told to what we remember of them."""

import time
from collections.abc import Sequence
from typing import Any

from projections.postgres import Link
from projections.webhooks.lanes import QUERIES, key_of, key_params
from workers.webhooks.lane import Lane, Lanes


async def refresh(link: Link, owned: Lanes, lanes: Sequence[Lane]) -> list[Lane]:
    """Learn what the lanes' webhooks are like now, and when their next retry is due.

    Returns those where something is to be ended: what is owed to a deleted webhook, by a
    cancelled replay, what is to be skipped, what holds its stream and need not any more,
    and the lane of a replay that is over.
    """
    if not lanes:
        return []
    by_key = {lane.key: lane for lane in lanes}
    ending = []
    asked = time.monotonic()
    for row in await link.rows(QUERIES["lane_states"], key_params(by_key)):
        lane = by_key[key_of(row)]
        _learn(lane, row)
        # What was settled or released while we asked is not in the answer: keep it.
        if lane.scheduled_at < asked and lane.next_due is not None:
            lane.next_due = lane.next_due if lane.next_due > asked else None
        if row.due_in is not None:
            owned.schedule(lane, time.monotonic() + row.due_in)
        if lane.has_ended or lane.is_over or lane.skip_through or row.lets_go:
            ending.append(lane)
    return ending


def _learn(lane: Lane, row: Any) -> None:
    lane.endpoint.learn(row)
    lane.is_ordered, lane.on_dead = row.is_ordered, row.on_dead
    lane.skip_through = row.skip_through
    lane.replay_id = row.replay_id
    lane.fresh_ids = bool(row.fresh_ids)
    lane.begun_at = row.replay_at or lane.begun_at
    is_deleted = row.state == "deleted"
    lane.is_over = row.replay_state not in (None, "running")
    lane.spares = lane.key.replay > 0 and not is_deleted
    lane.has_ended = is_deleted or bool(row.is_cancelling)
