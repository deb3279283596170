"""What came of attempts, written in batches.

Until it is settled an attempt counts as unsettled: its lane is not given away, and no more
than so many of a webhook are. A settle that failed because the database went away is said
again until it is heard: saying it twice changes nothing.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence

import psycopg
import structlog

from domain.webhooks.delivery import Dead
from projections import postgres, telemetry, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.vault import Vault
from projections.webhooks.lanes import QUERIES, Settlement, settle_params
from workers.webhooks import verdict
from workers.webhooks.disabling import Disabler
from workers.webhooks.endpoint import Endpoint
from workers.webhooks.lane import Lane, Lanes
from workers.webhooks.verdict import Done

MOST_AT_ONCE = 500
# A statement and its commit cost as much as twenty of their rows, so settles are no closer
# together than this, unless there are enough.
ENOUGH = 64
GATHER_SECONDS = 0.02
# Where an order is kept, what comes next in a stream waits for what came of its head. And
# what was begun again is settled sooner: with lost workers its attempts are used up. Of
# these only many at once gather, and not for as long.
BUSY = 10
SHORT_GATHER_SECONDS = 0.005

log = structlog.get_logger("daybook.deliveries")


class Settler:
    """Settles attempts for one worker process."""

    def __init__(
        self,
        url: str,
        lanes: Lanes,
        disabler: Disabler,
        vault: Vault,
        settled: Callable[[], None],
    ) -> None:
        """`settled` hears when slots have become free."""
        self._link = Link(url, "daybook_worker", "settling")
        self._lanes = lanes
        self._disabler = disabler
        self._vault = vault
        self._settled = settled
        self._waiting: deque[Done] = deque()
        self._wake = asyncio.Event()
        self._enough = asyncio.Event()
        self._is_busy = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    def add(self, done: Done) -> None:
        """Settle this soon."""
        self._waiting.append(done)
        self._quiet.clear()
        self._wake.set()
        if len(self._waiting) >= ENOUGH or (_is_awaited(done) and not self._is_busy):
            self._enough.set()
        self._settled()  # its slot is free already, though it is not settled

    def leave(self, lane: Lane) -> None:
        """No request is made and nothing settled of what began: its row stays as it is."""
        lane.withdraw()
        lane.settled()
        self._lanes.line_up_all_of(lane)
        self._settled()

    async def run(self) -> None:
        """Settle what comes until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(MOST_AT_ONCE, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                self._is_busy = count >= BUSY
                self._enough.clear()
                await self._settle(batch)
                await self._gather(any(map(_is_awaited, batch)))
            self._quiet.set()

    async def _gather(self, is_awaited: bool) -> None:
        if is_awaited and not self._is_busy:
            return
        seconds = SHORT_GATHER_SECONDS if is_awaited else GATHER_SECONDS
        await waiting.wake_up(self._enough, seconds)

    async def drain(self) -> None:
        """Wait until everything added is settled, while `run` goes on; 5 s at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._quiet.wait()
                await self._disabler.drain()

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _settle(self, batch: Sequence[Done]) -> None:
        judged = []
        for done in batch:
            decision = verdict.decide(done)
            settlement = verdict.settlement(done, decision, self._vault)
            if isinstance(decision, Dead) and decision.disable:
                # 410: the attempt is settled in the command that disables the webhook.
                self._disabler.gone(done, settlement, self._settle_alone)
            else:
                judged.append((done, settlement))
        await self._write([settlement for _, settlement in judged])
        endpoints = {done.lane.endpoint: done for done in batch}
        await self._note_health(endpoints)
        for done, settlement in judged:
            self._free(done, settlement)
        for lane in {done.lane for done, _ in judged}:
            self._lanes.line_up_all_of(lane)
        self._settled()
        for endpoint, done in endpoints.items():
            if endpoint.is_given_up():
                self._disabler.failed(done.lane)

    async def _settle_alone(
        self, done: Done, settlement: Settlement, *, write: bool
    ) -> None:
        """What the disabler is done with, or could not do."""
        if write:
            await self._write([settlement])
        self._free(done, settlement)
        self._lanes.line_up_all_of(done.lane)
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

    async def _note_health(self, endpoints: dict[Endpoint, Done]) -> None:
        """The live lane's failures and circuit, when they change; a lost note is mended
        by the next."""
        changed = [each for each in endpoints if each.health != each.noted]
        lives = [
            (each, lane)
            for each in changed
            if (lane := self._lanes.live(each.key)) is not None
        ]
        if not lives:
            return
        health = {each: each.health for each, _ in lives}
        params = {
            "tenants": [each.key.tenant_id for each, _ in lives],
            "webhooks": [each.key.webhook_id for each, _ in lives],
            "epochs": [lane.epoch for _, lane in lives],
            "enabled_versions": [each.enabled_version for each, _ in lives],
            "failures": [health[each].failures for each, _ in lives],
            "opens": [health[each].is_open for each, _ in lives],
        }
        with contextlib.suppress(*postgres.AWAY):
            await self._link.rows(QUERIES["note_health"], params)
            for each, _ in lives:
                each.noted = health[each]

    def _free(self, done: Done, settlement: Settlement) -> None:
        lane = done.lane
        if settlement.made:
            telemetry.attempt_settled(settlement.outcome, settlement.duration_ms / 1000)
        if settlement.state in telemetry.FINISHED:
            telemetry.delivery_finished(settlement.state)
        lane.settled()
        if settlement.delay is not None:
            # A little late rather than a little early: the database's clock decides.
            self._lanes.schedule(lane, time.monotonic() + settlement.delay + 0.005)
        elif done.due.ordered is not None and settlement.state != "held":
            lane.finished.add(done.due.ordered)


def _is_awaited(done: Done) -> bool:
    return done.due.ordered is not None or done.due.number > 1
