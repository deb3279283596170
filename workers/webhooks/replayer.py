"""Replays: looking through the past for what they owe, piece by piece.

No further ahead than their sender can follow. A replay is its lane's owner's to carry on.
Each piece is one transaction that moves the cursor from exactly where it was; a worker that
dies between two pieces leaves it there for the next owner. Done is when all was looked at
and nothing is owed any more.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from domain.application import Log
from domain.errors import DomainError
from domain.log.entry import SYSTEM, Context, Statement
from domain.webhooks import commands
from projections import postgres, waiting
from projections.failpoint import failpoint
from projections.postgres import Link
from projections.webhooks import lanes as owing
from projections.webhooks import replays
from projections.webhooks.lanes import LaneKey
from projections.webhooks.past import Search
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
        self._searches: dict[LaneKey, Search] = {}

    async def run(self) -> None:
        """Carry on until cancelled."""
        never = asyncio.Event()
        while True:
            moved = False
            replaying = [lane for lane in self._lanes if lane.key.replay]
            try:
                self._forget_all_but(replaying)
                # A piece of each in turn: none waits for the end of another.
                for lane in replaying:
                    moved = await self._carry_on(lane) or moved
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                for lane in replaying:  # a piece may be owed without our hearing of it
                    self._begins(lane)
            if not moved:
                await waiting.wake_up(never, POLL_SECONDS)

    async def _carry_on(self, lane: Lane) -> bool:
        """Owe a piece more of it, if its sender can follow; end it when that was all.

        Whether there may be another piece at once.
        """
        if lane.is_lost or lane.has_ended or lane.is_over:
            return False
        params = lane.key._asdict() | {"ahead": AHEAD}
        [work] = await self._link.rows(QUERIES["replay_work"], params)
        if work.state != "running" or work.owed >= AHEAD:
            return False
        if work.cursor < work.to_position:
            return await self._owe(lane, work)
        if not work.owed and not lane.unsettled:
            await self._complete(lane, work)
        return False

    async def _owe(self, lane: Lane, work: Any) -> bool:
        """Look at one piece; false when the lane is another's by now."""
        search = self._searches.get(lane.key)
        if search is None:
            search = Search(replays.choice(lane.key, work))
            self._searches[lane.key] = search
        connection = await self._link.connection()
        piece = await search.piece(connection, work.cursor, work.to_position)
        params = replays.owed_params(lane.key, lane.epoch, piece)
        [row] = await self._link.rows(QUERIES["hand_off_replay"], params)
        failpoint("replays.owed")
        if piece.positions:
            self._begins(lane)
        return bool(row.moved)

    def _begins(self, lane: Lane) -> None:
        lane.has_new = True
        self._lanes.line_up(lane)

    def _forget_all_but(self, lanes: Sequence[Lane]) -> None:
        keys = {lane.key for lane in lanes}
        for key in self._searches.keys() - keys:
            del self._searches[key]

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
            lane.is_over = True
            self._lanes.hint([key.webhook_id])
