"""Replays: looking through the past for what they owe, in pieces, no further ahead than
their sender can follow.

A replay is its lane's owner's to carry on. Each piece is one transaction that moves the
cursor from exactly where it was; a worker that dies between two pieces leaves it there for
the next owner. Done is when all was looked at and nothing is owed any more.
"""

import asyncio
from typing import Any

import psycopg
import structlog

from domain import patterns
from domain.application import Log
from domain.errors import DomainError
from domain.log.entry import SYSTEM, Context, Statement
from domain.webhooks import commands
from projections import postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.webhooks import lanes as owing
from projections.webhooks import replays
from projections.webhooks.replays import AHEAD, QUERIES
from workers.webhooks.lane import Lane, Lanes

POLL_SECONDS = 0.2

log = structlog.get_logger("daybook.deliveries")


class Replayer:
    """Carries on the replays of one worker process."""

    def __init__(self, link: Link, lanes: Lanes, application: Log) -> None:
        self._link = link
        self._lanes = lanes
        self._application = application

    async def run(self) -> None:
        """Carry on until cancelled."""
        never = asyncio.Event()
        while True:
            try:
                for lane in [each for each in self._lanes if each.key.replay]:
                    await self._carry_on(lane)
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
            await waiting.wake_up(never, POLL_SECONDS)

    async def _carry_on(self, lane: Lane) -> None:
        """Owe more of it, as long as its sender can follow; end it when that was all."""
        while not (lane.is_lost or lane.has_ended):
            params = lane.key._asdict() | {"ahead": AHEAD}
            [work] = await self._link.rows(QUERIES["replay_work"], params)
            if work.state != "running":
                return
            if work.cursor >= work.to_position:
                if not work.owed and not lane.unsettled:
                    await self._complete(lane, work)
                return
            if work.owed >= AHEAD or not await self._owe(lane, work):
                return

    async def _owe(self, lane: Lane, work: Any) -> bool:
        """Look at one piece; false when the lane is another's by now."""
        piece = replays.next_piece(work)
        params = replays.candidate_params(lane.key, work, piece)
        rows = await self._link.rows(QUERIES["replay_candidates"], params)
        positions = [row.position for row in rows if _matches(work, row)]
        params = replays.owed_params(lane.key, lane.epoch, piece, positions)
        [row] = await self._link.rows(QUERIES["hand_off_replay"], params)
        failpoint("replays.owed")
        if positions:
            lane.has_new = True
            self._lanes.line_up(lane)
        return bool(row.moved)

    async def _complete(self, lane: Lane, work: Any) -> None:
        key = lane.key
        epoch = Statement(
            owing.QUERIES["require_epoch"], key._asdict() | {"epoch": lane.epoch}
        )
        context = Context(SYSTEM, riders=[epoch])
        try:
            await asyncio.to_thread(
                commands.complete_replay,
                self._application,
                context,
                key.tenant_id,
                key.webhook_id,
                work.replay_id,
                handed_off=work.handed_off,
                succeeded=work.succeeded,
                dead=work.dead,
            )
        except (DomainError, psycopg.Error) as error:  # asked again in a moment
            log.warning("replay_not_completed", error=type(error).__name__)
        else:
            lane.has_ended = True
            self._lanes.hint([key.webhook_id])


def _matches(work: Any, row: Any) -> bool:
    return patterns.stream_matches(work.streams, row.stream)
