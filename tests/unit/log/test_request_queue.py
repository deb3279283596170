"""The queue before the log: groups are bounded, tenants take turns, too much is refused."""

import threading
from uuid import UUID

import pytest

from domain import ids
from domain.errors import Unavailable
from domain.log.entry import Statement
from projections.log import request_queue
from projections.log.request_queue import Request, RequestQueue
from tests.support.builders import an_entry

ONE, TWO, THREE = ids.new(), ids.new(), ids.new()


def request(tenant_id: UUID, entries: int = 1, size: int = 0) -> Request:
    return Request([an_entry(tenant_id, state=b"x" * size) for _ in range(entries)])


def command(tenant_id: UUID) -> Request:
    return Request([an_entry(tenant_id)], after=[Statement("select 1", {})])


def waiting(*requests: Request) -> RequestQueue:
    line = RequestQueue()
    for each in requests:
        line.put(each)
    return line


def test_everything_that_waits_goes_together_in_the_order_it_came() -> None:
    requests = [request(ONE) for _ in range(3)]
    assert waiting(*requests).take() == requests


def test_tenants_take_turns() -> None:
    # given: one tenant with four waiting, then another with one
    many = [request(ONE) for _ in range(4)]
    single = request(TWO)
    # then: the single one is second, not fifth
    assert waiting(*many, single).take()[:2] == [many[0], single]


def test_a_group_is_bounded_by_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_queue, "GROUP_ENTRIES", 5)
    first, second, third = request(ONE, 3), request(ONE, 2), request(ONE, 1)
    line = waiting(first, second, third)
    assert line.take() == [first, second]
    assert line.take() == [third]


def test_a_group_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_queue, "GROUP_BYTES", 1000)
    first, second = request(ONE, size=500), request(ONE, size=500)
    line = waiting(first, second)
    assert line.take() == [first]
    assert line.take() == [second]


def test_one_request_over_the_bounds_still_goes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_queue, "GROUP_BYTES", 1000)
    huge = request(ONE, size=5000)
    assert waiting(huge).take() == [huge]


def test_a_busy_tenant_cannot_keep_anothers_event_out_of_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_queue, "GROUP_ENTRIES", 10)
    line = waiting(*[request(ONE) for _ in range(1000)], single := request(TWO))
    assert single in line.take()


def test_a_command_comes_alone() -> None:
    before, own, after = request(ONE), command(ONE), request(ONE)
    line = waiting(before, own, after)
    assert [line.take(), line.take(), line.take()] == [[before], [own], [after]]


def test_a_command_waits_for_at_most_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: two tenants who always have more waiting than a group holds, and a third
    # tenant's command
    monkeypatch.setattr(request_queue, "GROUP_ENTRIES", 4)
    line = RequestQueue()
    busy = [request(tenant) for _ in range(100) for tenant in (ONE, TWO)]
    line.put(busy[0])
    line.put(own := command(THREE))
    for each in busy[1:]:
        line.put(each)
    # then
    assert own in [*line.take(), *line.take()]


def test_a_large_request_is_not_starved_by_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_queue, "GROUP_ENTRIES", 4)
    line = waiting(request(TWO), large := request(ONE, 4))
    for _ in range(50):
        line.put(request(TWO))
    taken: list[Request] = []
    for _ in range(2):
        taken += line.take()
    assert large in taken


def test_a_tenants_own_order_holds_even_when_its_first_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_queue, "GROUP_ENTRIES", 4)
    large, small = request(ONE, 4), request(ONE)
    line = waiting(request(TWO), large, small)
    taken: list[Request] = []
    while small not in taken:
        taken += line.take()
    assert taken.index(large) < taken.index(small)


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_queue, "QUEUE_BYTES", 1000)
    line = waiting(first := request(ONE, size=1000))
    with pytest.raises(Unavailable, match="too much is waiting"):
        line.put(request(TWO))
    # and room is made by taking
    assert line.take() == [first]
    line.put(request(TWO))


def test_a_tenant_whose_requests_wait_too_long_is_refused_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = request(ONE)
    old.since -= request_queue.QUEUE_SECONDS + 1
    line = waiting(old)
    with pytest.raises(Unavailable):
        line.put(request(ONE))
    line.put(request(TWO))


def test_a_closed_queue_deals_out_what_waits_then_ends() -> None:
    line = waiting(last := request(ONE))
    line.close()
    with pytest.raises(Unavailable):
        line.put(request(ONE))
    assert line.take() == [last]
    assert line.take() == []


def test_taking_waits_for_a_request() -> None:
    line = RequestQueue()
    taken: list[list[Request]] = []
    taker = threading.Thread(target=lambda: taken.append(line.take()))
    taker.start()
    line.put(late := request(ONE))
    taker.join(timeout=5)
    assert taken == [[late]]
