"""Forgetting: finished deliveries that their tenant keeps no longer are deleted."""

import asyncio
from typing import Any

import structlog

from projections import postgres
from projections.log import views
from projections.postgres import Link
from projections.webhooks.forgetting import QUERIES

STEP = 1000  # rows in one statement: some milliseconds, as others share the connection
PAUSE_SECONDS = 3600.0
LATER_SECONDS = 60.0

log = structlog.get_logger("daybook.forgetting")


async def run(link: Link) -> None:
    """Forget once an hour until cancelled. Workers may do so side by side."""
    while True:
        try:
            await forget(link)
        except postgres.AWAY:
            log.debug("forgetting_later")
            await asyncio.sleep(LATER_SECONDS)
        else:
            await asyncio.sleep(PAUSE_SECONDS)


async def forget(link: Link, step: int = STEP) -> int:
    """Delete all that is kept no longer by now; how many deliveries. Raises one of AWAY.

    Each step is one transaction and finds by itself what is left, so when this process dies
    in between, the next one goes on where it was.
    """
    forgotten = 0
    for tenant in await link.rows(QUERIES["outdated"]):
        forgotten += await _deliveries(link, tenant, step)
    gone = step
    while gone == step:
        gone = (await link.rows(QUERIES["forget_figures"], {"most": step}))[0].gone
    while part := (await link.rows(QUERIES["drop_empty_partition"]))[0].part:
        log.info("partition_dropped", partition=part)
    return forgotten


async def _deliveries(link: Link, tenant: Any, step: int) -> int:
    """Those of one tenant, onwards in its log: what is kept is looked at once."""
    place = {"tenant_id": tenant.tenant_id, "moment": tenant.since, "last": tenant.head}
    [recorded] = await link.rows(views.QUERIES["first_since"], place)
    params = {
        "tenant_id": tenant.tenant_id,
        "since": tenant.since,
        "first": 1,
        "last": recorded.position - 1,
        "most": step,
    }
    forgotten, gone = 0, step
    while gone == step:
        [row] = await link.rows(QUERIES["forget_deliveries"], params)
        forgotten, gone = forgotten + row.gone, row.gone
        params["first"] = row.through
    return forgotten
