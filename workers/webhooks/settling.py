"""What came of attempts, written in batches; only then is an attempt's slot free again.

Until it is settled an attempt counts as in flight. A settle that failed because the
database went away is said again until it is heard: saying it twice changes nothing.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import psycopg
import structlog

from domain import clock
from domain.application import Log
from domain.errors import DomainError
from domain.log.entry import SYSTEM, Context, Statement
from domain.webhooks import commands, delivery, retry
from domain.webhooks.delivery import Dead, Retry
from projections import postgres, telemetry
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.webhooks.lanes import QUERIES, Due, Settlement, settle_params
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.sender import Answer, Outgoing

MOST_AT_ONCE = 500
KEPT_HEADERS = frozenset(
    {"content-type", "content-length", "date", "location", "retry-after", "server"}
)

log = structlog.get_logger("daybook.deliveries")


@dataclass(slots=True, eq=False)
class Done:
    """An attempt that was answered, or failed."""

    lane: Lane
    due: Due
    started_at: datetime
    request: Outgoing
    answer: Answer


class Settler:
    """Settles attempts for one worker process."""

    def __init__(
        self, url: str, lanes: Lanes, application: Log, settled: Callable[[], None]
    ) -> None:
        """`settled` hears when slots have become free."""
        self._link = Link(url, "daybook_worker", "settling")
        self._lanes = lanes
        self._application = application
        self._settled = settled
        self._waiting: deque[Done] = deque()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def add(self, done: Done) -> None:
        """Settle this soon."""
        self._waiting.append(done)
        self._quiet.clear()
        self._wake.set()

    async def run(self) -> None:
        """Settle what comes until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(MOST_AT_ONCE, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                await self._settle(batch)
            self._quiet.set()

    async def drain(self) -> None:
        """Wait until everything added is settled, while `run` goes on; 5 s at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._quiet.wait()

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _settle(self, batch: list[Done]) -> None:
        plain = []
        for done in batch:
            decision = _decide(done)
            settlement = _settlement(done, decision)
            ends = isinstance(decision, Dead) and decision.disable
            if ends and await self._disable(done, settlement):
                self._free(done, settlement)
            else:
                plain.append((done, settlement))
        await self._write([settlement for _, settlement in plain])
        await self._mark_health(plain)
        for done, settlement in plain:
            self._free(done, settlement)
        self._settled()

    async def _write(self, settlements: list[Settlement]) -> None:
        while settlements:
            try:
                await self._link.rows(QUERIES["settle"], settle_params(settlements))
            except postgres.AWAY:
                await asyncio.sleep(0.2)
            except psycopg.Error:
                # One row that the database refuses must not keep the others: halve.
                if len(settlements) == 1:
                    log.exception("settle_failed", position=settlements[0].position)
                    return
                half = len(settlements) // 2
                await self._write(settlements[:half])
                settlements = settlements[half:]
            else:
                failpoint("lanes.settled")
                return

    async def _disable(self, done: Done, settlement: Settlement) -> bool:
        """410: the settle and the webhook's end of service, in one transaction.

        False when there is nothing to disable any more, or the lane is another's: then
        the attempt is settled like any other.
        """
        key = done.lane.key
        epoch = Statement(
            QUERIES["require_epoch"], key._asdict() | {"epoch": done.lane.epoch}
        )
        settle = Statement(QUERIES["settle"], settle_params([settlement]))
        context = Context(SYSTEM, riders=[epoch, settle])
        try:
            return await asyncio.to_thread(
                commands.disable,
                self._application,
                context,
                key.tenant_id,
                key.webhook_id,
                "gone",
            )
        except (DomainError, psycopg.Error) as error:
            log.warning("disable_failed", error=type(error).__name__)
            return False

    async def _mark_health(self, plain: list[tuple[Done, Settlement]]) -> None:
        """A lane's failing_since, when it changes; a lost mark is mended by the next."""
        for done, settlement in plain:
            lane, is_failing = done.lane, settlement.outcome != "succeeded"
            if lane.is_failing != is_failing:
                lane.is_failing = is_failing
                query = QUERIES["mark_failing" if is_failing else "mark_well"]
                try:
                    await self._link.rows(
                        query, lane.key._asdict() | {"epoch": lane.epoch}
                    )
                except postgres.AWAY:
                    lane.is_failing = not is_failing

    def _free(self, done: Done, settlement: Settlement) -> None:
        telemetry.attempt_settled(settlement.outcome)
        lane = done.lane
        lane.in_flight -= 1
        if settlement.delay is not None:
            # A little late rather than a little early: the database's clock decides.
            self._lanes.schedule(lane, time.monotonic() + settlement.delay + 0.005)
        self._lanes.line_up(lane)


def _decide(done: Done) -> delivery.Decision:
    """What follows from the attempt; one asked for by hand is the only one."""
    answer, due = done.answer, done.due
    decision = delivery.decide(
        due.number,
        status_code=answer.status_code,
        error=answer.error,
        policy=retry.policy(due.retry),
        jitter=random.uniform(-1, 1),  # noqa: S311  # spreads load, guards nothing
        retry_after_seconds=_retry_after(answer),
    )
    if due.once and isinstance(decision, Retry):
        return Dead(disable=False)
    return decision


def _retry_after(answer: Answer) -> float | None:
    return retry.parse_retry_after(answer.retry_after, clock.now())


def _settlement(done: Done, decision: delivery.Decision) -> Settlement:
    due, answer = done.due, done.answer
    seconds = _retry_after(answer)
    return Settlement(
        tenant_id=due.tenant_id,
        webhook_id=due.webhook_id,
        replay=due.replay,
        epoch=done.lane.epoch,
        position=due.position,
        number=due.number,
        recorded_at=due.recorded_at,
        trigger=due.trigger,
        outcome="failed" if answer.error else "succeeded",
        started_at=done.started_at,
        duration_ms=answer.duration_ms,
        status_code=answer.status_code,
        error=answer.error,
        detail=_storable(answer.detail),
        retry_after_seconds=None if seconds is None else int(seconds),
        webhook_version=due.webhook_version,
        secret_version=due.secret_version,
        body_bytes=len(done.request.body),
        body_sha256=hashlib.sha256(done.request.body).digest(),
        response_headers=msgspec.json.encode(kept_headers(answer)).decode(),
        response_bytes=answer.response_bytes,
        state=delivery.state_after(decision),
        delay=decision.delay_seconds if isinstance(decision, Retry) else None,
    )


def kept_headers(answer: Answer) -> dict[str, str]:
    """The response headers worth keeping."""
    return {
        name.lower(): _storable(value)[:256]
        for name, value in answer.response_headers.items()
        if name.lower() in KEPT_HEADERS
    }


def _storable(text: str) -> str:
    """A receiver's text without what the database cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
