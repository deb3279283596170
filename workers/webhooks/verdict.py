"""From an attempt's answer to what is written of it: the decision and the row."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from domain import clock
from domain.webhooks import delivery
from domain.webhooks.delivery import Dead, Retry
from projections.vault import Sealed, Vault, snippet_place
from projections.webhooks.lanes import Due, Settlement
from workers.webhooks.lane import Lane
from workers.webhooks.sender import Answer, Outgoing

KEPT_HEADERS = frozenset(
    {"content-type", "content-length", "date", "location", "retry-after", "server"}
)


# One more attempt was asked for by hand, and so many workers are lost over it at most: a
# delivery whose request ends the worker that makes it does not come back for ever.
LOST_BY_HAND = 5

NO_HEADERS: Mapping[str, str] = {}


@dataclass(slots=True, eq=False)
class Attempted:
    """A request that was made, and its answer; `retry_after` in seconds."""

    request: Outgoing
    answer: Answer
    retry_after: float | None
    secret_version: int | None


@dataclass(slots=True, eq=False)
class Done:
    """An attempt that was answered, or failed; without `attempted` none was made, for the
    delivery is over."""

    lane: Lane
    due: Due
    started_at: datetime
    attempted: Attempted | None = None


def age_seconds(lane: Lane, due: Due, now: datetime) -> float:
    """How old the delivery is: since its event, or since the replay was asked for."""
    since = max(due.recorded_at, lane.begun_at)
    return (now - since) / timedelta(seconds=1)


def is_over(lane: Lane, due: Due) -> bool:
    """Whether the delivery ends without another attempt: it is too old, or its workers
    were lost over so many that none is left. One that was asked for by hand is never too
    old."""
    policy = lane.endpoint.policy
    is_by_hand = due.once or due.base > 0
    most = max(policy.attempts, LOST_BY_HAND) if is_by_hand else policy.attempts
    if due.number - due.base > most:
        return True
    if is_by_hand or policy.max_age_seconds is None:
        return False
    # The age by two clocks; a policy counts in minutes at least.
    return policy.expires(age_seconds(lane, due, clock.now()))


def decide(done: Done) -> delivery.Decision:
    """What follows from the attempt; one asked for by hand is the only one."""
    if done.attempted is None:
        return Dead(disable=False)
    answer, due = done.attempted.answer, done.due
    if answer.error is None:
        return delivery.SUCCEEDED
    by_hand = due.once or due.base > 0
    decision = delivery.decide(
        due.number - due.base,
        status_code=answer.status_code,
        error=answer.error,
        policy=done.lane.endpoint.policy,
        jitter=random.uniform(-1, 1),  # noqa: S311  # spreads load, guards nothing
        age_seconds=0 if by_hand else age_seconds(done.lane, due, clock.now()),
        retry_after_seconds=done.attempted.retry_after,
    )
    if due.once and isinstance(decision, Retry):
        return Dead(disable=False)
    return decision


def settlement(done: Done, decision: delivery.Decision, vault: Vault) -> Settlement:
    """The row that says so."""
    due, lane = done.due, done.lane
    state = _state(done, decision)
    told = _told(done, done.attempted, vault) if done.attempted else _NOTHING_MADE
    return Settlement(
        tenant_id=lane.key.tenant_id,
        webhook_id=lane.key.webhook_id,
        replay=lane.key.replay,
        epoch=lane.epoch,
        position=due.position,
        number=due.number,
        recorded_at=due.recorded_at,
        trigger=due.trigger,
        started_at=done.started_at,
        webhook_version=due.webhook_version,
        state=state,
        delay=decision.delay_seconds if isinstance(decision, Retry) else None,
        made=done.attempted is not None,
        tells=state in ("dead", "held") and not due.type.startswith("daybook."),
        outcome=told.outcome,
        duration_ms=told.duration_ms,
        status_code=told.status_code,
        error=told.error,
        detail=told.detail,
        retry_after_seconds=told.retry_after_seconds,
        secret_version=told.secret_version,
        body_bytes=told.body_bytes,
        body_sha256=told.body_sha256,
        response_headers=told.response_headers,
        response_bytes=told.response_bytes,
        snippet_key_id=told.snippet_key_id,
        snippet=told.snippet,
    )


class _Told(NamedTuple):
    """What a settlement says of the request and its answer."""

    outcome: str = "failed"
    duration_ms: float = 0.0
    status_code: int | None = None
    error: str | None = None
    detail: str = ""
    retry_after_seconds: int | None = None
    secret_version: int | None = None
    body_bytes: int = 0
    body_sha256: str = ""
    response_headers: Mapping[str, str] = NO_HEADERS
    response_bytes: int = 0
    snippet_key_id: str | None = None
    snippet: str | None = None


_NOTHING_MADE = _Told()


def _told(done: Done, attempted: Attempted, vault: Vault) -> _Told:
    answer, body = attempted.answer, attempted.request.body
    snippet = _snippet(done, answer, vault)
    seconds = attempted.retry_after
    return _Told(
        outcome="failed" if answer.error else "succeeded",
        duration_ms=answer.duration_ms,
        status_code=answer.status_code,
        error=answer.error,
        detail=storable(answer.detail),
        retry_after_seconds=None if seconds is None else int(seconds),
        secret_version=attempted.secret_version,
        body_bytes=len(body),
        body_sha256=_bytea(hashlib.sha256(body).digest()),
        response_headers=kept_headers(answer),
        response_bytes=answer.response_bytes,
        snippet_key_id=snippet and snippet.key_id,
        snippet=snippet and _bytea(snippet.data),
    )


def _bytea(data: bytes) -> str:
    return f"\\x{data.hex()}"


def _state(done: Done, decision: delivery.Decision) -> str:
    state = delivery.state_after(decision)
    if state != "dead":
        return state
    if done.attempted is None and done.due.number <= done.lane.endpoint.policy.attempts:
        return "cancelled"  # too old
    holds = done.due.ordered is not None and done.lane.on_dead == "hold"
    return "held" if holds else "dead"


def _snippet(done: Done, answer: Answer, vault: Vault) -> Sealed | None:
    """The beginning of the answer, sealed: it may say anything about anybody."""
    if not done.lane.endpoint.keep_response or not answer.snippet:
        return None
    key, due = done.lane.key, done.due
    place = snippet_place(key.tenant_id, key.webhook_id, due.position, due.number)
    return vault.seal(answer.snippet, place)


def kept_headers(answer: Answer) -> dict[str, str]:
    """The response headers worth keeping."""
    return {
        name.lower(): storable(value)[:256]
        for name, value in answer.response_headers.items()
        if name.lower() in KEPT_HEADERS
    }


def storable(text: str) -> str:
    """A receiver's text without what the database cannot hold."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "")
