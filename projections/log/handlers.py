"""Handlers: somebody's own code, called for each event of some types, in every tenant.

A handler is a projection: it has a name, a checkpoint, a runner and a connection of its
own, so what one raises, or how slow it is, no other handler notices. What it writes over
the connection it is given is committed with its checkpoint: exactly once, whatever is
killed when. What it does elsewhere (a mail, a request) may happen twice, as the batch that
it was part of may be undone and come again; a webhook is made for that.

All handlers of a process share one event loop with its deliveries. A call that waits for
longer than LONGEST_SECONDS is ended; one that computes for as long holds everything up, and
belongs in `asyncio.to_thread`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain import patterns
from domain.log.entry import PUBLISHED
from projections import rows
from projections.log import ranges
from projections.postgres import Connection
from projections.projection import Batch, Policy
from projections.sql import Queries

QUERIES = Queries("projections.log", "handlers.sql")
# Each is a call, and all are undone together when one fails. Where calls take long a batch
# has fewer, so that it takes about so long: it holds its checkpoint, and to stop a worker
# in the middle means to make all of its calls again.
BATCH, BATCH_SECONDS = 200, 1.0
# Less than `idle_in_transaction` of projections.postgres: a connection that was cut would
# count as a database that is away, and the event be tried for ever.
LONGEST_SECONDS = 4.0


class Event(NamedTuple):
    """An event of one tenant, as handlers get it; `state` and `metadata` are JSON bytes."""

    tenant_id: UUID
    event_id: str
    position: int
    type: str
    topic: str
    stream: str
    version: int
    subject: str | None
    state: bytes
    metadata: bytes | None
    actor: str | None
    correlation_id: str | None
    causation_id: str | None
    occurred_at: datetime
    recorded_at: datetime

    @property
    def data(self) -> dict[str, Any]:
        """What happened."""
        found: dict[str, Any] = msgspec.json.decode(self.state)
        return found

    @property
    def is_published(self) -> bool:
        """Whether a publisher says so; else a command recorded it, and its rules held."""
        return self.topic == PUBLISHED


Handle = Callable[[Connection, Event], Awaitable[None]]


class Handler:
    """Calls `handle` for each event that the patterns name, one after the other.

    It begins with the oldest event of the log. `policy`: what becomes of an event for which
    `handle` raises; when parked, what follows in its stream waits with it, in order.
    """

    version = 1

    def __init__(
        self,
        name: str,
        event_types: Sequence[str],
        handle: Handle,
        *,
        policy: Policy = "park",
    ) -> None:
        """`name` is its checkpoint's, kept for ever. Raises ValueError for a pattern."""
        if faults := patterns.check(event_types):
            raise ValueError(f"{name}: {faults[0].detail}")
        self.name = name
        self.policy: Policy = policy
        self._handle = handle
        self._ranges = ranges.of_types(event_types)
        self._size = BATCH

    def batch_size(self) -> int:
        """How many events the next batch may have."""
        return self._size

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Call it for the batch's events; what it raises undoes the batch."""
        begun = time.monotonic()
        params = batch.params() | self._ranges._asdict()
        query = QUERIES["events"]
        for event in await rows.many(connection, Event, query, params, binary=True):
            # Calls that leave the connection alone add up to more than it may idle.
            await connection.execute(QUERIES["at_work"])
            await self._call(connection, event)
        seconds = max(time.monotonic() - begun, 0.001)
        self._size = max(1, min(BATCH, int(batch.size * BATCH_SECONDS / seconds)))

    def applied(self, batch: Batch) -> None:
        """Nobody waits for it in this process."""

    async def _call(self, connection: Connection, event: Event) -> None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS) as limit:
                await self._handle(connection, event)
        except TimeoutError as error:
            if not limit.expired():
                raise  # its own
            detail = f"handled for longer than {LONGEST_SECONDS:g} s"
            raise TimeoutError(detail) from error
        except (asyncio.CancelledError, SystemExit) as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the worker ends
            # The handler's own: it would end the worker, and every other handler.
            raise RuntimeError(f"handled with {error!r}") from error
