"""What waits to be appended: bounded, and fair between tenants."""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from uuid import UUID

from domain.errors import Unavailable
from domain.log.entry import Appended, Claim, Entry, Statement
from projections import telemetry
from projections.telemetry import Watched

# One group is one call of log_append and holds the log's lock: about 16 ms at 500 entries
# of 200 bytes, most of it the work itself. The bounds keep a neighbour's wait short.
GROUP_ENTRIES = 500
GROUP_BYTES = 4 * 1024 * 1024
# What may wait in one process before callers are turned away with 503.
QUEUE_BYTES = 64 * 1024 * 1024
QUEUE_SECONDS = 5.0

Answer = list[Appended]


@dataclass(eq=False, slots=True)
class Request:
    """Entries that stand or fall together; with statements around them it is a command.

    `checked` is the head of the tenant's catalogue that the entries were checked against.
    A `claim` is written down with them.
    """

    entries: Sequence[Entry]
    before: Sequence[Statement] = ()
    after: Sequence[Statement] = ()
    operator: bool = False
    checked: int | None = None
    claim: Claim | None = None
    future: "Future[Answer] | asyncio.Future[Answer]" = field(init=False)
    since: float = field(default_factory=time.monotonic)
    size: int = field(init=False)  # bytes, as the limits count them

    def __post_init__(self) -> None:
        self.size = sum(entry.size for entry in self.entries)

    @property
    def tenant_id(self) -> UUID:
        """A request is of one tenant."""
        return self.entries[0].tenant_id

    @property
    def is_command(self) -> bool:
        """Whether it needs a transaction of its own."""
        return bool(self.before or self.after)


class RequestQueue:
    """Requests by tenant; groups are dealt from the tenants in turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[UUID, deque[Request]] = OrderedDict()
        self._bytes = 0
        self._requests = 0
        self._closed = False
        REQUESTS.add(self)
        BYTES.add(self)

    def put(self, request: Request) -> None:
        """Line up; raises Unavailable when too much waits, or its tenant's for too long."""
        with self._changed:
            if self._closed or self._is_full(request.tenant_id):
                telemetry.append_refused("full")
                raise Unavailable("too much is waiting for the log; try again")
            self._waiting.setdefault(request.tenant_id, deque()).append(request)
            self._bytes += request.size
            self._requests += 1
            self._changed.notify()

    @property
    def requests(self) -> int:
        """How many wait."""
        return self._requests

    @property
    def bytes(self) -> int:
        """How many bytes of them, as the limits count."""
        return self._bytes

    def take(self) -> list[Request]:
        """Wait for the next group; empty when the queue is closed and drained."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return self._deal()

    def close(self) -> None:
        """Take no more; what waits is still dealt out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _deal(self) -> list[Request]:
        """The next group: a command alone, or requests of the tenants in turn.

        One tenant with a thousand waiting cannot keep another's single event out. A
        request that does not fit is passed over, and so are those behind it: its tenant
        leads the next group, or a steady stream of small requests would starve it.
        """
        group: list[Request] = []
        passed: list[UUID] = []
        turns = deque(self._waiting)
        room, space = GROUP_ENTRIES, GROUP_BYTES
        while turns and room > 0:
            tenant_id = turns.popleft()
            head = self._waiting[tenant_id][0]
            fits = len(head.entries) <= room and head.size <= space
            if group and (head.is_command or not fits):
                passed.append(tenant_id)
                continue
            if self._pop(tenant_id):
                turns.append(tenant_id)
            group.append(head)
            room, space = room - len(head.entries), space - head.size
            if head.is_command:
                break
        for tenant_id in reversed(passed):
            self._waiting.move_to_end(tenant_id, last=False)
        return group

    def _pop(self, tenant_id: UUID) -> bool:
        """Take the tenant's first; whether more of its requests wait, now in last place."""
        line = self._waiting[tenant_id]
        self._bytes -= line.popleft().size
        self._requests -= 1
        if line:
            self._waiting.move_to_end(tenant_id)
        else:
            del self._waiting[tenant_id]
        return bool(line)

    def _is_full(self, tenant_id: UUID) -> bool:
        """By bytes for all, by age for each: a tenant's backlog turns away only itself."""
        if self._bytes >= QUEUE_BYTES:
            return True
        line = self._waiting.get(tenant_id)
        return bool(line and line[0].since < time.monotonic() - QUEUE_SECONDS)


REQUESTS: Watched[RequestQueue] = Watched(
    "daybook_append_waiting_requests",
    "Requests that wait to be appended.",
    lambda queue: [((), queue.requests)],
)
BYTES: Watched[RequestQueue] = Watched(
    "daybook_append_waiting_bytes",
    "Bytes of them; at 64 MiB callers are turned away.",
    lambda queue: [((), queue.bytes)],
)
