"""The tail: reads the log as it grows, once for everybody in this process who listens.

It holds no place that must survive: a listener knows its own, and whoever falls behind the
ring asks the database by itself (`following.py`). So a crash costs nothing, and a slow
listener keeps nobody waiting. Woken by hints, it also looks every half second.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

import structlog

from domain.errors import Unavailable
from projections import rows, waiting
from projections.log import views, wakeup
from projections.log.ring import Ring, Shown
from projections.log.views import Event
from projections.postgres import Database
from projections.projection import LogDamaged
from projections.sql import Queries

QUERIES = Queries("projections.log", "live.sql")
Render = Callable[[Event], bytes]

POLL_SECONDS = 0.5
# Under a stream of single events it reads some at a time: each reading costs the process
# that publishes about as much as ten listeners do.
GAP_SECONDS = 0.005
READ_EVENTS, READ_BYTES = 500, 1024 * 1024
# How many listeners read for themselves at once: the others wait, and requests of the same
# process find a connection.
CATCHING_UP = 1
# A tenant's ring; all of them together stay within the second figure.
RING_BYTES, ALL_RINGS_BYTES = 4 * 1024 * 1024, 64 * 1024 * 1024

log = structlog.get_logger("daybook.streams")


class Listener:
    """Who waits for events of a tenant. `bell` rings when there may be something new."""

    __slots__ = ("bell", "ended", "ring", "tenant_id")

    def __init__(self, tenant_id: UUID, ring: Ring) -> None:
        self.tenant_id, self.ring = tenant_id, ring
        self.bell = asyncio.Event()
        self.ended: str | None = None

    def end(self, code: str) -> None:
        """There will be nothing more; the code says why. The first one counts."""
        self.ended = self.ended or code
        self.bell.set()


class Tail:
    """One for each process that serves listeners; it begins with the first of them."""

    def __init__(
        self, url: str, database: Database, operator: Database, render: Render
    ) -> None:
        self._url = url
        self._database, self._operator = database, operator
        self.render = render
        self.catching_up = asyncio.Semaphore(CATCHING_UP)
        self._rings: dict[UUID, Ring] = {}
        self._listeners: dict[UUID, set[Listener]] = {}
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def database(self) -> Database:
        """Where listeners that have fallen behind read for themselves."""
        return self._database

    async def join(self, tenant_id: UUID) -> tuple[Listener, int]:
        """A new listener, and where its tenant's log ends. Raises Unavailable.

        Asked of the database, as another process may have appended a moment ago what this
        one has not read yet.
        """
        async with self._database.tenant(tenant_id) as connection:
            head = await views.head(connection, tenant_id)
        ring = self._rings.setdefault(tenant_id, Ring(head))
        listener = Listener(tenant_id, ring)
        self._listeners.setdefault(tenant_id, set()).add(listener)
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._listen(), name="listen"),
                asyncio.create_task(self._run(), name="tail"),
            ]
        return listener, head

    def leave(self, listener: Listener) -> None:
        """It waits no more; the last one of a tenant takes the ring along."""
        others = self._listeners.get(listener.tenant_id, set())
        others.discard(listener)
        if not others:
            self._listeners.pop(listener.tenant_id, None)
            self._rings.pop(listener.tenant_id, None)

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _listen(self) -> None:
        await wakeup.listen(self._url, "daybook_app", lambda _: self._woken.set())

    async def _run(self) -> None:
        while True:
            await waiting.wake_up(self._woken, POLL_SECONDS)
            try:
                await self._advance()
            except Unavailable:
                log.debug("tail_waits_for_the_database")
            except Exception:
                # Whatever it is, listeners must not wait for ever: look again.
                log.exception("tail_failed")
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.sleep(GAP_SECONDS)

    async def _advance(self) -> None:
        """Read what is new for everybody; as much of each tenant's as fits."""
        if not self._rings:
            return
        params = {"tenants": list(self._rings)}
        async with self._operator.connection() as connection:
            cursor = await connection.execute(QUERIES["heads"], params)
            heads = await cursor.fetchall()
        for tenant_id, head in heads:
            ring = self._rings.get(tenant_id)
            if ring is None:
                continue  # the last one has left meanwhile
            if head < ring.head:
                self._rewound(tenant_id)
            elif head > ring.head:
                await self._read(tenant_id, ring, head)

    async def _read(self, tenant_id: UUID, ring: Ring, head: int) -> None:
        params = {
            "tenant_id": tenant_id,
            "after": ring.head,
            "limit": READ_EVENTS,
            "most_bytes": READ_BYTES,
        }
        async with self._database.tenant(tenant_id) as connection:
            found = await rows.many(
                connection, Event, QUERIES["events_after"], params, binary=True
            )
        if not found:
            raise LogDamaged(f"nothing is after {ring.head}, before {head}")
        shown = [show(event, self.render) for event in found]
        most = min(RING_BYTES, ALL_RINGS_BYTES // max(1, len(self._rings)))
        # No hole can be in what was read: positions are committed in their order.
        ring.extend(shown, shown[-1].position, most)
        if ring.head < head:
            self._woken.set()
        for listener in self._listeners.get(tenant_id, ()):
            listener.bell.set()

    def _rewound(self, tenant_id: UUID) -> None:
        """The log has been replaced by an older one: nobody's place holds any more."""
        for listener in self._listeners.pop(tenant_id, ()):
            listener.end("log_rewound")
        del self._rings[tenant_id]


def show(event: Event, render: Render) -> Shown:
    """An event as listeners get it."""
    return Shown(event.position, event.type, event.stream, event.subject, render(event))
