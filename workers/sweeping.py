"""Sweeping: rows that no longer count are deleted, the oldest first, a step at a time."""

import asyncio
from typing import LiteralString

import structlog

from projections import postgres, rates
from projections.log import claims
from projections.postgres import Link
from projections.webhooks import stats

STEP = 1000  # rows in one statement: some milliseconds, as others share the connection
PAUSE_SECONDS = 60.0
# Each deletes at most `most` rows and says how many `gone` are.
STATEMENTS: tuple[LiteralString, ...] = (
    claims.QUERIES["forget_keys"],
    rates.QUERIES["forget_windows"],
    stats.QUERIES["gather_figures"],
)

log = structlog.get_logger("daybook.sweeping")


async def run(link: Link) -> None:
    """Sweep once a minute until cancelled. Workers may do so side by side."""
    while True:
        try:
            await sweep(link)
        except postgres.AWAY:
            log.debug("sweeping_later")
        await asyncio.sleep(PAUSE_SECONDS)


async def sweep(link: Link, step: int = STEP) -> int:
    """Delete all that there is by now; how many rows. Raises one of AWAY."""
    swept = 0
    for statement in STATEMENTS:
        gone = step
        while gone == step:
            [row] = await link.rows(statement, {"most": step})
            gone = row.gone
            swept += gone
    return swept
