"""How fast an endpoint is spoken to."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.webhooks.pace import MARGIN_SECONDS, Rate, Throttle


@given(
    st.floats(0.1, 50),
    st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_no_window_ever_holds_more_than_the_rate(
    per_second: float, waits: list[float]
) -> None:
    rate, now, begun = Rate(per_second), 0.0, []
    for wait in waits:
        now += wait
        for _ in range(rate.room(now)):
            rate.begin(now)
            begun.append(now)
    most = max(1, int(per_second))
    window = most / per_second
    for first in range(len(begun) - most):
        assert begun[first + most] - begun[first] >= window - 1e-9


def test_below_one_a_second_it_is_one_in_so_many() -> None:
    rate = Rate(0.25)
    rate.begin(10)
    assert rate.room(14) == 0
    assert rate.room_at() == 14 + MARGIN_SECONDS
    assert rate.room(14.03) == 1


def test_what_somebody_else_may_have_begun_counts() -> None:
    rate = Rate(5)
    rate.hold(10)
    assert rate.room(10.9) == 0
    assert rate.room(11.1) == 5


def test_too_much_halves_what_may_be_in_flight_and_pauses() -> None:
    throttle = Throttle(8)
    throttle.failed(10, 429, None)
    assert throttle.room(10.9, 0) == 0
    assert throttle.room(11, 0) == 4
    throttle.failed(11, 503, None)  # ill, not overloaded
    assert throttle.room(11, 1) == 3


def test_what_failed_together_counts_once() -> None:
    throttle = Throttle(8)
    for _ in range(5):
        throttle.failed(10, 502, None)
    assert throttle.room(11, 0) == 4


def test_each_further_pause_is_longer_and_asked_for_ones_are_kept() -> None:
    throttle, now, pauses = Throttle(1), 0.0, []
    for _ in range(7):
        throttle.failed(now, 504, None)
        pauses.append(throttle.paused_until - now)
        now = throttle.paused_until
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert (pauses[0], pauses[-1]) == (1, 30)
    other = Throttle(1)
    other.failed(0, 429, 12.0)
    assert other.paused_until == 12


def test_success_lets_it_grow_again_up_to_the_limit() -> None:
    throttle = Throttle(4)
    throttle.failed(0, 429, None)
    for _ in range(9):
        throttle.succeeded()
    assert throttle.room(1, 0) == 4
    throttle.limit(6)
    assert throttle.room(1, 0) == 6
    throttle.limit(2)
    assert throttle.room(1, 0) == 2
