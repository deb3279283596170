"""A consumer's next events, now or as soon as there are some. Reading moves nothing.

One reader a consumer: two are given the same events, and each acknowledges for both.
"""

import asyncio
import time
from typing import NamedTuple
from uuid import UUID

from msgspec import Raw

from api.log import schemas
from api.log.seat import Seat, http_leaving
from api.request import ApiRequest
from domain import patterns, payload_filter
from domain.payload_filter import Filter
from projections.consumers import views
from projections.log import following
from projections.log.following import Wanted
from projections.log.ring import Shown

# A page ends here though there are more: its position says how far it goes.
MOST_BYTES = 4 * 1024 * 1024
# Who filters out nearly everything is told after so long how far it was looked.
LONGEST_SECONDS = 2.0


class Page(NamedTuple):
    """Events, and the position up to which these are all."""

    events: list[Shown]
    position: int


class Reader:
    """One reading of a consumer."""

    def __init__(self, request: ApiRequest, row: views.Consumer, limit: int) -> None:
        self._request, self._limit = request, limit
        self._tenant_id: UUID = request.caller.tenant_id
        self._at, self._head = row.position, row.head
        streams = () if row.streams == [patterns.EVERYTHING] else tuple(row.streams)
        self._wanted = Wanted(tuple(row.event_types), streams)
        self._filter = None if row.filter is None else payload_filter.read(row.filter)

    async def page(self, wait: float) -> Page:
        """What is next; waits so long when there is nothing. Raises Busy, Unavailable."""
        until = time.monotonic() + wait
        page = await self._look(self._at, self._head)
        if page.events or page.position < self._head or not wait:
            return page
        return await self._wait(page.position, until)

    async def _wait(self, at: int, until: float) -> Page:
        """What comes meanwhile. No connection is held, and nothing outlives the request."""
        request = self._request
        stopping = request.scope["state"].get("stopping")
        audience = request.services.audience
        async with (
            audience.seat(request.caller, self._wanted, at, stopping) as seat,
            seat.attended(http_leaving(seat, request.receive)),
        ):
            return await self._first(seat, at, until)
        return Page([], at)  # its client has gone

    async def _first(self, seat: Seat, at: int, until: float) -> Page:
        """Wakes up when an event comes whose type and stream are right, and looks again."""
        packs = seat.packs(len)
        while (left := until - time.monotonic()) > 0:
            try:
                found = await asyncio.wait_for(anext(packs), left)
            except (TimeoutError, StopAsyncIteration):
                break
            if found:
                page = await self._look(at, seat.at)
                if page.events or page.position < seat.at:
                    return page
                at = page.position
        return Page([], max(at, seat.at))

    async def _look(self, at: int, last: int) -> Page:
        """The next events up to a position, as far as it gets."""
        until = time.monotonic() + LONGEST_SECONDS
        found: list[Shown] = []
        while not found and at < last and time.monotonic() < until:
            events, at = await following.read(
                self._request.services.tail,
                self._tenant_id,
                self._wanted,
                at,
                last,
                limit=self._limit,
                most_bytes=MOST_BYTES,
            )
            if self._filter is not None and events:
                # Filters may take their time; requests beside this one have theirs.
                events = await asyncio.to_thread(_passing, events, self._filter)
            found = events
        return Page(found, at)


def shown(page: Page) -> schemas.EventPage:
    """A page of events as it is shown; there is no other way on than to acknowledge."""
    data = [Raw(event.json) for event in page.events]
    return schemas.EventPage(data, None, None, page.position)  # type: ignore[arg-type]


def _passing(events: list[Shown], wanted: Filter) -> list[Shown]:
    return [event for event in events if wanted.holds(following.members(event))]
