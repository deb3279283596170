"""Webhooks that end their own service: gone (410), or failing for too long.

A command of the domain, like one asked for by hand; so it is in the log, and it holds the
lane's epoch: a worker that lost the lane disables nothing.
"""

import asyncio
import functools
from collections.abc import Awaitable, Sequence
from typing import Protocol

import psycopg
import structlog

from domain.application import Log
from domain.errors import DomainError, Unavailable, VersionConflict
from domain.log.entry import SYSTEM, Context, Statement
from domain.webhooks import commands
from domain.webhooks.subscription import DisabledReason
from projections import postgres
from projections.webhooks.lanes import QUERIES, Settlement, settle_params
from workers.webhooks.lane import Lane
from workers.webhooks.verdict import Done

# The database is away, or somebody else changed the webhook just now: asked again until it
# is heard, as a settle is. If it was heard, the next time finds the webhook disabled.
PASSING = (Unavailable, VersionConflict, *postgres.AWAY)

log = structlog.get_logger("daybook.deliveries")


class Settle(Protocol):
    """Ends an attempt; `write` says whether it still has to be written."""

    def __call__(
        self, done: Done, settlement: Settlement, *, write: bool
    ) -> Awaitable[None]: ...


class Disabler:
    """Disables webhooks for one worker process, side by side with settling."""

    def __init__(self, application: Log) -> None:
        self._application = application
        self._tasks: set[asyncio.Task[None]] = set()

    def gone(self, done: Done, settlement: Settlement, settle: Settle) -> None:
        """410: the settle and the webhook's end of service, in one transaction."""

        # From here on: the slot is free already, and nothing more may begin.
        done.lane.endpoint.is_active = False

        async def act() -> None:
            settled = Statement(QUERIES["settle"], settle_params([settlement]))
            did = await self._disable(done.lane, "gone", [settled])
            # Nothing to disable any more: the attempt is settled like any other.
            done.lane.endpoint.is_active = not did
            await settle(done, settlement, write=not did)

        self._begin(act())

    def failed(self, lane: Lane) -> None:
        """Too many attempts failed, for too long. Asked again when it did not come off."""
        lane.endpoint.is_disabling, lane.endpoint.is_active = True, False

        async def act() -> None:
            did = await self._disable(lane, "failures")
            lane.endpoint.is_disabling, lane.endpoint.is_active = False, not did

        self._begin(act())

    async def drain(self) -> None:
        """Wait for what has begun."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _begin(self, act: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _disable(
        self, lane: Lane, reason: DisabledReason, riders: Sequence[Statement] = ()
    ) -> bool:
        key = lane.key
        epoch = Statement(
            QUERIES["require_epoch"], key._asdict() | {"epoch": lane.epoch}
        )
        context = Context(SYSTEM, riders=[epoch, *riders])
        disable = functools.partial(
            commands.disable,
            self._application,
            context,
            key.tenant_id,
            key.webhook_id,
            reason,
        )
        while True:
            try:
                return await asyncio.to_thread(disable)
            except PASSING as error:
                log.warning("disable_failed", error=type(error).__name__)
                if lane.is_lost:
                    return False
                await asyncio.sleep(0.2)
            except (DomainError, psycopg.Error) as error:
                log.warning("disable_refused", error=type(error).__name__)
                return False
