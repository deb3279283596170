"""The handoff: events and the configuration in force become what is owed, exactly once."""

from collections.abc import Callable, Collection
from uuid import UUID

from projections import postgres, telemetry
from projections.failpoint import failpoint
from projections.postgres import Connection
from projections.projection import Batch, LogDamaged, Policy
from projections.sql import Queries
from projections.webhooks import filtering

QUERIES = Queries("projections.webhooks", "handoff.sql")
MOST_EVENTS = 1000
MOST_OWED = 20_000  # rows a batch should write at most: it keeps the transaction short


class Handoff:
    """The projection `deliveries`. It records what was done, so it is never rebuilt."""

    name = "deliveries"
    version = 1
    policy: Policy = "pause"

    def __init__(self, owed: Callable[[Collection[UUID]], None]) -> None:
        """`owed` hears, after each commit, which webhooks were given new rows."""
        self._tell = owed
        self._size = MOST_EVENTS
        self._touched: list[UUID] = []
        self._owed = 0

    def batch_size(self) -> int:
        """As many events as should make MOST_OWED rows, judged by the last batch."""
        return self._size

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Owe the batch's events to the webhooks that match them."""
        refused = await filtering.refused(connection, batch)
        params = batch.params() | refused._asdict()
        row = await postgres.one(connection, QUERIES["hand_off"], params)
        if row.events != batch.size:
            raise LogDamaged(
                f"{batch.size - row.events} events are missing from log positions "
                f"{batch.after + 1} to {batch.through}"
            )
        failpoint("handoff.owed")
        self._touched, self._owed = row.webhooks or [], row.owed
        per_event = max(row.owed / batch.size, MOST_OWED / MOST_EVENTS)
        self._size = max(1, int(MOST_OWED / per_event))

    def applied(self, batch: Batch) -> None:
        """Wake the lanes that got something."""
        failpoint("handoff.tell")
        telemetry.handed_off(self._owed)
        if self._touched:
            self._tell(self._touched)
