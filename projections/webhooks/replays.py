"""Replays as workers go about them: the log piece by piece, from where one stopped."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from domain import patterns
from domain.webhooks import subscription
from projections.sql import Queries
from projections.webhooks.lanes import LaneKey

QUERIES = Queries("projections.webhooks", "replays.sql")
DEATHS = Queries("projections.webhooks", "deaths.sql")
PIECE = 2000  # positions that are looked at in one step
AHEAD = 5000  # rows that may wait to be sent before more are owed


class Piece(NamedTuple):
    """A piece of the log: the positions after `after`, through `through`."""

    after: int
    through: int


def next_piece(work: Any) -> Piece:
    """What is to be looked at next; `work` is a row of `replay_work`."""
    return Piece(work.cursor, min(work.cursor + PIECE, work.to_position))


def candidate_params(key: LaneKey, work: Any, piece: Piece) -> dict[str, Any]:
    """The parameters of `replay_candidates`."""
    chosen = work.patterns
    prefixes = [pattern[:-1] for pattern in chosen if pattern.endswith(".*")]
    return piece._asdict() | {
        "tenant_id": key.tenant_id,
        "webhook_id": key.webhook_id,
        "types": chosen,
        "prefixes": [f"^{re.escape(prefix)}" for prefix in prefixes],
        "everything": patterns.EVERYTHING in chosen,
        "own_stream": subscription.stream(key.webhook_id),
        "only_failed": work.only_failed,
    }


def owed_params(
    key: LaneKey, epoch: int, piece: Piece, positions: Sequence[int]
) -> dict[str, Any]:
    """The parameters of `hand_off_replay`."""
    return (
        key._asdict() | piece._asdict() | {"epoch": epoch, "positions": list(positions)}
    )
