"""Whose turn it is: lanes in line, tenants in turn, and slots that slow ones do not get."""

import time
from typing import Any
from uuid import UUID

from domain import ids
from projections.webhooks.lanes import LaneKey
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.line import Line


def lane(lanes: Lanes, tenant_id: UUID, **state: Any) -> Lane:
    key = LaneKey(tenant_id, ids.new(), 0)
    made = Lane(key, 1, lanes.endpoint(key), **state)
    lanes.add(made)
    return made


def test_tenants_take_turns() -> None:
    line = Line()
    busy, small = ids.new(), ids.new()
    many = [LaneKey(busy, ids.new(), 0) for _ in range(3)]
    one = LaneKey(small, ids.new(), 0)
    for key in [*many, one, many[0]]:
        line.add(key)
    assert [line.next() for _ in range(5)] == [many[0], one, many[1], many[2], None]


def test_who_leaves_the_line_is_not_called() -> None:
    line, key = Line(), LaneKey(ids.new(), ids.new(), 0)
    line.add(key)
    line.remove(key)
    line.remove(key)
    assert line.next() is None


def test_a_lane_without_work_or_room_is_passed_by() -> None:
    lanes, tenant = Lanes(), ids.new()
    idle = lane(lanes, tenant, has_new=False)
    full = lane(lanes, tenant)
    full.endpoint.on_wire = full.endpoint.most
    ready = lane(lanes, tenant)
    assert lanes.next(10) == [ready]
    lanes.schedule(idle, time.monotonic() - 1)
    assert lanes.next(10) == [idle]


def test_slow_endpoints_keep_their_place_while_slots_are_scarce() -> None:
    lanes, tenant = Lanes(), ids.new()
    slow, quick = lane(lanes, tenant), lane(lanes, tenant)
    slow.endpoint.begin(time.monotonic() - 5)  # nothing heard of it since
    assert lanes.next(10, slow=False) == [quick]
    assert lanes.next(10) == [slow]


def test_replays_leave_live_traffic_half_of_what_may_be_in_flight() -> None:
    lanes, tenant = Lanes(), ids.new()
    live = lane(lanes, tenant)
    key = live.key._replace(replay=1)
    replay = Lane(key, 1, lanes.endpoint(key))
    lanes.add(replay)
    assert replay.endpoint is live.endpoint
    assert lanes.room(replay) == live.endpoint.most // 2
    live.has_new = False
    assert lanes.room(replay) == live.endpoint.most


def test_limits_are_the_webhooks_over_all_its_lanes() -> None:
    lanes, tenant = Lanes(), ids.new()
    live = lane(lanes, tenant)
    key = live.key._replace(replay=1)
    lanes.add(replay := Lane(key, 1, lanes.endpoint(key)))
    for _ in range(live.endpoint.most):
        live.endpoint.begin(time.monotonic())
    assert (lanes.room(live), lanes.room(replay)) == (0, 0)


def test_a_lane_that_waits_for_a_pause_comes_back_when_it_is_over() -> None:
    lanes = Lanes()
    paused = lane(lanes, ids.new())
    paused.endpoint.throttle.failed(time.monotonic(), 429, None)
    assert lanes.next(10) == []
    assert 0 < lanes.seconds_to_next(60) <= 1
    paused.endpoint.throttle.paused_until = 0.0


def test_a_lost_lane_has_no_room_and_no_place() -> None:
    lanes = Lanes()
    lost = lane(lanes, ids.new())
    lanes.remove(lost)
    lanes.line_up(lost)
    assert lanes.next(10) == []
    assert lanes.room(lost) == 0
    assert len(lanes) == 0
