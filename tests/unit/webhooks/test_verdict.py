"""Whether a delivery ends without another attempt, and what becomes of it then."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from domain import ids
from domain.webhooks import retry
from projections.webhooks.lanes import Due, LaneKey
from workers.webhooks import verdict
from workers.webhooks.lane import Lane, Lanes

POLICY = retry.policy("standard")
OLD = datetime(2020, 1, 1, tzinfo=UTC)


def lane(**policy: Any) -> Lane:
    lanes = Lanes()
    key = LaneKey(ids.new(), ids.new(), 0)
    made = Lane(key, 1, lanes.endpoint(key))
    made.endpoint.policy = POLICY._replace(**policy)
    return made


def due(number: int, *, base: int = 0, once: bool = False, at: datetime = OLD) -> Due:
    row = SimpleNamespace(number=number, base=base, once=once, recorded_at=at)
    return cast(Due, row)


def test_attempts_are_used_up_by_lost_workers_too() -> None:
    assert not verdict.is_over(lane(), due(POLICY.attempts))
    assert verdict.is_over(lane(), due(POLICY.attempts + 1))


def test_too_old() -> None:
    aged = lane(max_age_seconds=60)
    assert verdict.is_over(aged, due(1))
    assert not verdict.is_over(
        aged, due(1, at=datetime.now(UTC) - timedelta(seconds=5))
    )


def test_asked_for_by_hand_it_is_made_however_old_and_often_tried() -> None:
    aged = lane(max_age_seconds=60)
    assert not verdict.is_over(aged, due(21, base=20, once=True))
    assert not verdict.is_over(aged, due(21, base=20))


def test_what_ends_its_worker_each_time_does_not_come_back_for_ever() -> None:
    for once in (True, False):
        most = 20 + max(POLICY.attempts, verdict.LOST_BY_HAND)
        assert not verdict.is_over(lane(), due(most, base=20, once=once))
        assert verdict.is_over(lane(), due(most + 1, base=20, once=once))
