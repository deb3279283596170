"""What a replay owes: the events of the past that match, found piece by piece.

The worker hands off what `Search` finds, the API counts it: so a count says how many there
will be. A piece is looked for in an index where the patterns allow it, and grows while
little is found, so a replay of a few among millions takes a few statements.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from uuid import UUID

from domain import patterns
from domain.webhooks import subscription
from projections.log import ranges
from projections.log import views as log
from projections.postgres import Connection, Database
from projections.sql import Queries
from projections.webhooks import filtering

QUERIES = Queries("projections.webhooks", "past.sql")
# Positions that a piece spans at first, and at most; and how many of them it may find.
FIRST_SPAN, WIDER, WIDEST = 2_000, 4, 500_000
MOST_FOUND = 1_000
# How long a count may take: a request waits for it.
COUNT_SECONDS = 10.0


class Choice(NamedTuple):
    """Which events; `filter` is JSON, as stored."""

    tenant_id: UUID
    webhook_id: UUID
    patterns: Sequence[str]
    streams: Sequence[str]
    filter: str | None
    only_failed: bool

    def params(self) -> dict[str, Any]:
        """What every statement here wants to know."""
        return {
            "tenant_id": self.tenant_id,
            "webhook_id": self.webhook_id,
            "own_stream": subscription.stream(self.webhook_id),
            "only_failed": self.only_failed,
        }


class Piece(NamedTuple):
    """The log after `after`, through `through`, and where in it the events are."""

    after: int
    through: int
    positions: list[int]


class Search:
    """Looks for the events of one choice, onwards."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._filters = choice.filter is not None
        self._filter = filtering.read(choice.filter) if choice.filter else None
        self._span = FIRST_SPAN

    async def piece(self, connection: Connection, after: int, last: int) -> Piece:
        """The next piece of the log after `after` and up to `last`."""
        choice, through = self._choice, min(after + self._span, last)
        streams = () if patterns.EVERYTHING in choice.streams else choice.streams
        events = log.Selection(after, through + 1, choice.patterns, streams)
        found = await log.positions(
            connection, choice.tenant_id, events, limit=MOST_FOUND, backwards=False
        )
        if len(found) == MOST_FOUND:
            through = found[-1]
        elif len(found) < MOST_FOUND // WIDER:
            self._span = min(self._span * WIDER, WIDEST)
        return Piece(after, through, await self._judged(connection, found))

    async def _judged(self, connection: Connection, found: list[int]) -> list[int]:
        """Those that are wanted for more than their type and stream."""
        is_told_of_itself = any(p.startswith("daybook.") for p in self._choice.patterns)
        if not found or not (
            self._filters or self._choice.only_failed or is_told_of_itself
        ):
            return found
        params = self._choice.params() | {
            "positions": found,
            "with_content": self._filters,
        }
        wanted: list[int] = []
        # One event at a time in memory: a thousand large ones are hundreds of megabytes.
        async with (
            connection.cursor() as reader,
            # A generator, which must be ended before another statement can be run.
            aclosing(reader.stream(QUERIES["candidates"], params)) as events,  # type: ignore[type-var]
        ):
            async for event in events:
                if not self._filters or self._holds(event):
                    wanted.append(event.position)
                await asyncio.sleep(0)  # others have their turn between two events
        return wanted

    def _holds(self, event: Any) -> bool:
        return filtering.holds(
            self._filter, filtering.members(event), self._choice.webhook_id
        )


async def count(
    database: Database, choice: Choice, after: int, last: int
) -> int | None:
    """How many there are after `after`, up to `last`; None when counting takes too long.

    Piece by piece, each in a transaction of its own: no connection is held for long.
    """
    deadline = time.monotonic() + COUNT_SECONDS
    search, total = Search(choice), 0
    while after < last:
        if time.monotonic() > deadline:
            return None
        async with database.tenant(choice.tenant_id) as connection:
            if choice.filter is None:
                through = min(after + WIDEST, last)
                total += await _count(connection, choice, after, through)
                after = through
            else:
                piece = await search.piece(connection, after, last)
                total += len(piece.positions)
                after = piece.through
    return total


async def _count(
    connection: Connection, choice: Choice, after: int, through: int
) -> int:
    types = ranges.of_types(choice.patterns)
    streams = ranges.of_streams(choice.streams)
    seen = await log.types_within(
        connection, choice.tenant_id, types, log.MOST_TYPES + 1
    )
    params = choice.params() | {
        "after": after,
        "through": through,
        # A few types are found in the index; of many all events are looked at.
        "types": seen if len(seen) <= log.MOST_TYPES else None,
        "lows": types.lows,
        "highs": types.highs,
        "every_stream": patterns.EVERYTHING in choice.streams,
        "stream_lows": streams.lows,
        "stream_highs": streams.highs,
    }
    # Its best plan depends on the values: it must not be kept.
    [row] = await (
        await connection.execute(QUERIES["count"], params, prepare=False)
    ).fetchall()
    return int(row.count)
