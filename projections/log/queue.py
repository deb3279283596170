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
from domain.log.entry import Appended, Entry, Statement

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
    """Entries that stand or fall together; with statements around them it is a command."""

    entries: Sequence[Entry]
    before: Sequence[Statement] = ()
    after: Sequence[Statement] = ()
    operator: bool = False
    future: "Future[Answer] | asyncio.Future[Answer]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    @property
    def tenant_id(self) -> UUID:
        """A request is of one tenant."""
        return self.entries[0].tenant_id

    @property
    def is_command(self) -> bool:
        """Whether it needs a transaction of its own."""
        return bool(self.before or self.after)

    @property
    def size(self) -> int:
        """Bytes, as the limits count them."""
        return sum(entry.size for entry in self.entries)


class RequestQueue:
    """Requests by tenant; groups are dealt from the tenants in turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[UUID, deque[Request]] = OrderedDict()
        self._bytes = 0
        self._closed = False

    def put(self, request: Request) -> None:
        """Line up; raises Unavailable when too much waits, or for too long."""
        with self._changed:
            if self._closed or self._is_full():
                raise Unavailable("too much is waiting for the log; try again")
            self._waiting.setdefault(request.tenant_id, deque()).append(request)
            self._bytes += request.size
            self._changed.notify()

    def take(self) -> list[Request]:
        """Wait for the next group; empty when the queue is closed and drained.

        A command comes alone. Otherwise each tenant gives one request in turn, so one
        with a thousand waiting cannot keep another's single event out of the group.
        """
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            group: list[Request] = []
            room, space = GROUP_ENTRIES, GROUP_BYTES
            skipped = 0
            while self._waiting and skipped < len(self._waiting):
                tenant_id, line = next(iter(self._waiting.items()))
                head = line[0]
                fits = len(head.entries) <= room and head.size <= space
                if group and (head.is_command or not fits):
                    skipped += 1
                    self._waiting.move_to_end(tenant_id)
                    continue
                skipped = 0
                self._pop(tenant_id, line)
                group.append(head)
                room, space = room - len(head.entries), space - head.size
                if head.is_command:
                    break
            return group

    def close(self) -> None:
        """Take no more; what waits is still dealt out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _pop(self, tenant_id: UUID, line: deque[Request]) -> None:
        self._bytes -= line.popleft().size
        if line:
            self._waiting.move_to_end(tenant_id)
        else:
            del self._waiting[tenant_id]

    def _is_full(self) -> bool:
        if self._bytes >= QUEUE_BYTES:
            return True
        oldest = next(iter(self._waiting.values()), None)
        return bool(oldest) and oldest[0].since < time.monotonic() - QUEUE_SECONDS
