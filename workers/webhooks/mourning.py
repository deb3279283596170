"""Dead deliveries told of in the tenant's log, at most once a minute and webhook.

They are counted in the transaction that settles them, and the count goes down in the one
that appends the report; so each is told of once, whoever dies in between.
"""

import asyncio
from typing import Any

import psycopg
import structlog

from domain import clock
from domain.application import Log
from domain.errors import DomainError
from domain.log.entry import SYSTEM, Context, Statement
from domain.webhooks import commands
from domain.webhooks.deaths import REPORT_SECONDS
from projections import postgres
from projections.postgres import Link
from projections.webhooks.lanes import QUERIES
from projections.webhooks.replays import DEATHS
from workers.webhooks.keeper import Keeper

POLL_SECONDS = 1.0

log = structlog.get_logger("daybook.deliveries")


class Mourner:
    """Tells of the dead deliveries of the webhooks that one worker process owns."""

    def __init__(self, link: Link, keeper: Keeper, application: Log) -> None:
        self._link = link
        self._keeper = keeper
        self._application = application

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            params = {"owner": self._keeper.owner, "pause": REPORT_SECONDS}
            try:
                for row in await self._link.rows(DEATHS["deaths_to_tell"], params):
                    await self._tell(row)
            except postgres.AWAY as error:
                log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def _tell(self, row: Any) -> None:
        key = {"tenant_id": row.tenant_id, "webhook_id": row.webhook_id}
        counted = {"count": row.count, "reports": row.reports}
        riders = [
            Statement(
                QUERIES["require_epoch"], key | {"replay": 0, "epoch": row.epoch}
            ),
            Statement(DEATHS["deaths_told"], key | counted),
        ]
        try:
            await asyncio.to_thread(
                commands.report_deaths,
                self._application,
                Context(SYSTEM, riders=riders),
                row.tenant_id,
                row.webhook_id,
                row.reports + 1,
                count=row.count,
                since=clock.rfc3339(row.since),
                last_position=row.last_position,
            )
        except (DomainError, psycopg.Error) as error:  # told in a moment, or by another
            log.warning("deaths_not_told", error=type(error).__name__)
