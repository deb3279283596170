"""What an attempt's outcome decides about its delivery."""

from typing import get_args

import pytest

from domain.webhooks import delivery, retry
from domain.webhooks.delivery import AttemptError, Dead, Decision, Retry, Succeeded

FAST = retry.policy("fast")
NO_ANSWER: list[AttemptError] = ["dns", "blocked", "connect", "tls", "timeout", "reset"]


def decide(
    number: int,
    status_code: int | None,
    error: AttemptError | None = None,
    retry_after: float | None = None,
) -> Decision:
    return delivery.decide(
        number,
        status_code=status_code,
        error=error,
        policy=FAST,
        jitter=0,
        retry_after_seconds=retry_after,
    )


@pytest.mark.parametrize("status_code", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("number", [1, 4, 9])
def test_any_2xx_succeeds_on_any_attempt(number: int, status_code: int) -> None:
    assert decide(number, status_code) == Succeeded()


@pytest.mark.parametrize("status_code", [101, 199, 300, 301, 400, 404, 429, 500, 503])
def test_any_other_status_is_tried_again(status_code: int) -> None:
    error = delivery.error_of(status_code)

    assert decide(1, status_code, error) == Retry(2.0)
    assert decide(1, status_code) == Retry(2.0)


@pytest.mark.parametrize("error", NO_ANSWER)
def test_no_answer_is_tried_again(error: AttemptError) -> None:
    assert decide(2, None, error) == Retry(4.0)


def test_an_error_outweighs_a_status() -> None:
    assert decide(1, 200, "timeout") == Retry(2.0)


@pytest.mark.parametrize(
    ("status_code", "error"), [(503, "status"), (None, "timeout"), (None, None)]
)
def test_after_the_last_attempt_it_is_dead(
    status_code: int | None, error: AttemptError | None
) -> None:
    last = FAST.attempts

    assert decide(last - 1, status_code, error) != Dead(disable=False)
    assert decide(last, status_code, error) == Dead(disable=False)
    assert decide(last + 5, status_code, error) == Dead(disable=False)


@pytest.mark.parametrize("number", [1, 4])
def test_gone_is_dead_at_once_and_disables(number: int) -> None:
    assert decide(number, 410) == Dead(disable=True)
    assert decide(number, 410, "gone") == Dead(disable=True)
    assert decide(number, 410, "reset") == Dead(disable=True)


def test_retry_after_lengthens_the_delay() -> None:
    assert decide(1, 503, "status", retry_after=30) == Retry(30.0)
    assert decide(3, 503, "status", retry_after=1) == Retry(8.0)


def test_what_is_too_old_is_dead() -> None:
    policy = retry.Policy((10, 10), max_age_seconds=15)

    def after(age: float, status_code: int | None) -> Decision:
        return delivery.decide(
            1,
            status_code=status_code,
            error=None,
            policy=policy,
            jitter=0,
            age_seconds=age,
        )

    assert after(5, 500) == Retry(10.0)
    assert after(6, 500) == Dead(disable=False)
    assert after(6, None) == Retry(0.0)
    assert after(16, None) == Dead(disable=False)


def test_a_lost_worker_is_not_held_against_the_receiver() -> None:
    assert delivery.outcome(None, None) == "unknown"
    assert decide(1, None, None) == Retry(0.0)


@pytest.mark.parametrize(
    ("status_code", "error"),
    [(200, None), (307, "redirect"), (410, "gone"), (404, "status"), (100, "status")],
)
def test_a_status_has_its_error(status_code: int, error: AttemptError | None) -> None:
    assert delivery.error_of(status_code) == error


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        (Succeeded(), "succeeded"),
        (Retry(2.0), "retrying"),
        (Dead(disable=False), "dead"),
        (Dead(disable=True), "dead"),
    ],
)
def test_a_decision_leads_to_its_state(
    decision: Decision, state: delivery.State
) -> None:
    assert delivery.state_after(decision) == state


def test_decisions_of_different_kinds_are_never_equal() -> None:
    retried: Decision = Retry(0.0)
    given_up: Decision = Dead(disable=False)

    assert retried != given_up


def test_any_state_but_sending_may_be_retried_by_hand() -> None:
    allowed = {s for s in get_args(delivery.State) if delivery.may_retry_by_hand(s)}

    assert allowed == set(get_args(delivery.State)) - {"sending"}
    assert allowed > delivery.FINISHED
