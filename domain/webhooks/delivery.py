"""What becomes of a delivery: its states, and what an attempt's outcome decides.

    pending ──▶ sending ──▶ succeeded
                 ▲   │
                 │   ├────▶ dead        out of attempts, or 410
                 │   ▼
                retrying

A delivery that waits, or that would wait again, becomes cancelled when nothing is owed
any more. A manual retry takes one from any state but `sending` back to `sending`.
"""

from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from domain.webhooks.retry import Policy

State = Literal["pending", "sending", "succeeded", "retrying", "dead", "cancelled"]
AttemptError = Literal[
    "dns",
    "blocked",
    "connect",
    "tls",
    "timeout",
    "reset",
    "status",
    "redirect",
    "gone",
]
# unknown: the worker was lost while the attempt may have been on the wire.
Outcome = Literal["succeeded", "failed", "gone", "unknown"]

FINISHED: Final[frozenset[State]] = frozenset({"succeeded", "dead", "cancelled"})
GONE = 410


class Succeeded(msgspec.Struct, frozen=True):
    """The receiver has it."""


class Retry(msgspec.Struct, frozen=True):
    """It is tried again after `delay_seconds`."""

    delay_seconds: float


class Dead(msgspec.Struct, frozen=True):
    """It is given up; with `disable` the webhook is disabled as well."""

    disable: bool


Decision: TypeAlias = Succeeded | Retry | Dead
SUCCEEDED: Final = Succeeded()


def error_of(status_code: int) -> AttemptError | None:
    """What is wrong with an answer of this status; None: nothing."""
    if 200 <= status_code < 300:
        return None
    if status_code == GONE:
        return "gone"
    return "redirect" if 300 <= status_code < 400 else "status"


def outcome(status_code: int | None, error: AttemptError | None) -> Outcome:
    """How an attempt ended; without a status and an error nobody knows."""
    if status_code == GONE or error == "gone":
        return "gone"
    if error is not None:
        return "failed"
    if status_code is None:
        return "unknown"
    return "failed" if error_of(status_code) else "succeeded"


def decide(
    attempt_number: int,
    *,
    status_code: int | None,
    error: AttemptError | None,
    policy: Policy,
    jitter: float,
    age_seconds: float = 0.0,
    retry_after_seconds: float | None = None,
) -> Decision:
    """What follows from attempt number `attempt_number` (from 1).

    `age_seconds` is the delivery's: a policy may give up by it.
    """
    result = outcome(status_code, error)
    if result == "succeeded":
        return SUCCEEDED
    if result == "gone":
        return Dead(disable=True)
    # Losing a worker says nothing about the receiver, so nobody waits for it; the
    # attempt counts, so a delivery that kills its worker does not come back for ever.
    if result == "unknown":
        ends = attempt_number >= policy.attempts or policy.expires(age_seconds)
        return Dead(disable=False) if ends else Retry(0.0)
    delay = policy.next_delay(
        attempt_number,
        jitter=jitter,
        age=age_seconds,
        retry_after=retry_after_seconds,
    )
    return Dead(disable=False) if delay is None else Retry(delay)


def state_after(decision: Decision) -> State:
    """The state a delivery is in after the decision."""
    match decision:
        case Succeeded():
            return "succeeded"
        case Retry():
            return "retrying"
        case Dead():
            return "dead"
        case _:
            assert_never(decision)


def may_retry_by_hand(state: State) -> bool:
    """Whether somebody may ask for one attempt now."""
    return state != "sending"
