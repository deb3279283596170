"""When an endpoint is left alone, and when its webhook is given up."""

from domain.webhooks.circuit import OPENS_AFTER, PROBE_SECONDS, Circuit, Failing
from domain.webhooks.settings import DisableAfter


def fail(circuit: Circuit, times: int, status_code: int | None = 500) -> None:
    for _ in range(times):
        circuit.failed(100.0, status_code)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    circuit = Circuit()
    fail(circuit, OPENS_AFTER - 1)
    assert circuit.room(100, 0) is None
    fail(circuit, 1)
    assert circuit.is_open
    assert circuit.room(100, 0) == 0


def test_a_success_in_between_begins_the_row_anew() -> None:
    circuit = Circuit()
    fail(circuit, OPENS_AFTER - 1)
    circuit.succeeded()
    fail(circuit, OPENS_AFTER - 1)
    assert not circuit.is_open


def test_being_asked_to_slow_down_opens_nothing() -> None:
    circuit = Circuit()
    fail(circuit, 2 * OPENS_AFTER, status_code=429)
    assert not circuit.is_open


def test_an_open_one_lets_one_probe_through_at_a_time() -> None:
    circuit = Circuit()
    fail(circuit, OPENS_AFTER)
    then = 100 + PROBE_SECONDS
    assert circuit.probe_at() == then
    assert circuit.room(then - 0.1, 0) == 0
    assert circuit.room(then, 0) == 1
    assert circuit.room(then, 1) == 0


def test_a_failed_probe_waits_for_the_next_and_a_good_one_closes() -> None:
    circuit = Circuit()
    fail(circuit, OPENS_AFTER)
    circuit.failed(130.0, 429)
    assert circuit.probe_at() == 130 + PROBE_SECONDS
    circuit.succeeded()
    assert (circuit.room(130, 0), circuit.probe_at()) == (None, None)


def test_one_that_was_left_open_begins_with_its_probe() -> None:
    circuit = Circuit(is_open=True, now=7.0)
    assert circuit.room(7.0, 0) == 1
    circuit.failed(8.0, 500)
    assert circuit.room(8.0, 0) == 0


def test_a_webhook_is_given_up_by_count_and_time() -> None:
    limit = DisableAfter(failures=3, over_seconds=60)
    failing = Failing().failed(100).failed(150)
    assert not failing.disables(limit, 161)  # two only
    assert not failing.failed(155).disables(limit, 159)  # for 59 seconds only
    assert failing.failed(155).disables(limit, 160)
    assert not Failing().disables(limit, 10**9)


def test_without_a_time_the_count_decides() -> None:
    limit = DisableAfter(failures=2, over_seconds=0)
    assert not Failing().failed(5).disables(limit, 5)
    assert Failing().failed(5, count=2).disables(limit, 5)
