"""Events a second from the log to what is owed, against one event a transaction.

200 webhooks in 100 tenants, two thirds of the events match one. Both run the product's own
projection, runner and statements, with the queue's indexes and sequences; the baseline's
batches have one event.
"""

import asyncio
import time
from typing import Any

import psycopg
import uvloop

from benchmarks import filling, measure
from projections.projection import Batch
from projections.runner import Runner
from projections.webhooks.handoff import Handoff

EVENTS = 100_000
BASELINE_EVENTS = 1_000
TENANTS = 100
RESET = """
    truncate daybook.owed;
    update daybook.webhook_sequences set sequence = 0, handed_off = 0;
    update daybook.checkpoints set log_position = 0 where name = 'deliveries';
"""


class Measured(Handoff):
    """The handoff, with batches as told and a word when it has come far enough."""

    def __init__(self, most: int | None, until: int) -> None:
        super().__init__(lambda webhooks: None)
        self._most = most
        self._until = until
        self.done = asyncio.Event()

    def batch_size(self) -> int:
        """At most what was told."""
        return min(super().batch_size(), self._most or EVENTS)

    def applied(self, batch: Batch) -> None:
        """Committed."""
        if batch.through >= self._until:
            self.done.set()


def rate(url: str, events: int, most: int | None) -> float:
    """Events a second, from the first on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(RESET)
        connection.execute("vacuum analyze daybook.owed, daybook.webhook_sequences")
    return uvloop.run(_rate(url, events, most))


async def _rate(url: str, events: int, most: int | None) -> float:
    handoff = Measured(most, events)
    running = asyncio.create_task(Runner(url, handoff).run())
    begun = time.monotonic()
    await handoff.done.wait()
    seconds = time.monotonic() - begun
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return events / seconds


def fill(url: str) -> None:
    """The log and the webhooks."""
    with psycopg.connect(url, autocommit=True) as connection:
        for first, pattern in ((1, "a.x"), (1001, "b.x")):
            filling.webhooks(connection, TENANTS, pattern, tenants=TENANTS, first=first)
        filling.events(
            connection, 1, EVENTS, tenants=TENANTS, types=["a.x", "b.x", "c.x"]
        )
        connection.execute("vacuum analyze")


def main() -> None:
    """The command."""
    with measure.database() as url:
        measure.say(f"filling the log with {EVENTS:,} events")
        fill(url)
        value, baseline = measure.interleaved(
            lambda: rate(url, EVENTS, None), lambda: rate(url, BASELINE_EVENTS, 1)
        )
        params: dict[str, Any] = {
            "webhooks": 2 * TENANTS,
            "tenants": TENANTS,
            "events": EVENTS,
            "matching": "2/3",
        }
        measure.figure(
            "handoff",
            "webhooks_200",
            value,
            "events/s",
            "one event a transaction",
            baseline,
            params,
        )


if __name__ == "__main__":
    main()
