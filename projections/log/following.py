"""Following the log from any position: what is there, then what comes; no gap, no double.

A follower's place is a position, and everything it takes is "what comes after it": from the
tail's ring while that reaches back so far, else from the database, some at a time. Both
read the same committed positions, so there is no seam between catching up and being live.
No connection is held while a client takes what it was given.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from domain import patterns
from domain.payload_path import Members
from projections import rows
from projections.log import live, views
from projections.log.live import QUERIES, Listener, Tail
from projections.log.ring import Shown
from projections.log.views import Event, Selection

T = TypeVar("T")
Pack = Callable[[Sequence[Shown]], T]

# What is handed to a client at once: as much again may wait in its connection's buffer, so
# a thousand clients that do not read cost a tenth of a gigabyte, not ten.
MOST_BYTES = 64 * 1024
MOST_EVENTS = 500
# How far one question goes along the log for a filter that little passes.
SCAN = 20_000


class Wanted(NamedTuple):
    """Which events; patterns as they were sent. No streams: all of them."""

    types: tuple[str, ...] = views.EVERYTHING
    streams: tuple[str, ...] = ()
    subject: str | None = None

    def holds(self, event: Shown) -> bool:
        """Whether the event is one of them."""
        return (
            patterns.matches(self.types, event.type)
            and (
                not self.streams or patterns.stream_matches(self.streams, event.stream)
            )
            and self.subject in (None, event.subject)
        )


class Follower:
    """One listener's way along the log. `at`: the last position it has done with."""

    __slots__ = ("_listener", "_tail", "_wanted", "at")

    def __init__(self, tail: Tail, listener: Listener, wanted: Wanted, at: int) -> None:
        self._tail, self._listener, self._wanted = tail, listener, wanted
        self.at = at

    @property
    def is_behind(self) -> bool:
        """Whether there is more to look at; else wait for the listener's bell."""
        return self.at < self._listener.ring.head

    async def take(self, pack: Pack[T]) -> T | None:
        """What comes next, packed, and moves on; None: nothing in as far as it looked.

        Raises Unavailable, and has not moved then.
        """
        ring, at = self._listener.ring, self.at
        here = ring.after(at)
        if here is None:
            found, self.at = await self._read()
            return pack(found) if found else None

        def packed() -> tuple[T | None, int]:
            found, upto = self._choose(here)
            return pack(found) if found else None, upto

        if not here:
            return None
        taken, self.at = ring.share((self._wanted, at, pack), packed)
        return taken

    def _choose(self, events: Sequence[Shown]) -> tuple[list[Shown], int]:
        """Those that are wanted, as far as they fit, and up to where that is."""
        found: list[Shown] = []
        size = 0
        for event in events:
            if size >= MOST_BYTES:
                return found, event.position - 1
            if self._wanted.holds(event):
                found.append(event)
                size += len(event.json)
        return found, events[-1].position

    async def _read(self) -> tuple[list[Shown], int]:
        """The same from the database, for who is further behind than the ring."""
        async with self._tail.catching_up:
            return await read(
                self._tail,
                self._listener.tenant_id,
                self._wanted,
                self.at,
                self._listener.ring.head,
                limit=MOST_EVENTS,
                most_bytes=MOST_BYTES,
            )


async def read(
    tail: Tail,
    tenant_id: UUID,
    wanted: Wanted,
    after: int,
    last: int,
    *,
    limit: int,
    most_bytes: int,
) -> tuple[list[Shown], int]:
    """Events after a position and up to another, as far as they fit; and up to where.

    Raises Unavailable. Holds a connection for as long as the database works.
    """
    last = min(last, after + SCAN)
    selection = Selection(after, last + 1, *wanted)
    async with tail.database.tenant(tenant_id) as connection:
        there = await views.positions(
            connection, tenant_id, selection, limit=limit, backwards=False
        )
        params = {"tenant_id": tenant_id, "positions": there, "most_bytes": most_bytes}
        query = QUERIES["events_at"]
        events = (
            await rows.many(connection, Event, query, params, binary=True)
            if there
            else []
        )
    if len(events) < len(there) or len(there) == limit:
        last = events[-1].position
    return [live.show(event, tail.render) for event in events], last


def members(event: Shown) -> Members:
    """An event as payload filters see it."""
    found = _MEMBERS.decode(event.json)
    kind, identity = found.actor.type, found.actor.id
    return Members(
        type=event.type,
        stream=event.stream,
        subject=event.subject,
        source=found.source,
        actor=kind if identity is None else f"{kind}:{identity}",
        data=bytes(found.data),
        metadata=bytes(found.metadata),
    )


class _Actor(Struct):
    type: str
    id: str | None


class _Rest(Struct):
    """What filters may ask for of an event that is shown, beside what Shown has."""

    source: str
    actor: _Actor
    data: Raw
    metadata: Raw


_MEMBERS = msgspec.json.Decoder(_Rest)
