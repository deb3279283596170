"""The newest events of one tenant, as those who listen get them: read and rendered once.

Pure memory. A ring holds what came after `floor`, up to `head`; whoever stands below the
floor has to ask the database.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar, cast

T = TypeVar("T")

_MOST_SHARED = 64  # of what is packed for listeners; each may have 64 KiB


class Shown(NamedTuple):
    """An event as it is shown, in JSON, and what filters ask for first."""

    position: int
    type: str
    stream: str
    subject: str | None
    json: bytes


class Ring:
    """What a tenant's listeners have in common."""

    def __init__(self, head: int) -> None:
        self.floor = self.head = head
        self._events: list[Shown] = []
        self._bytes = 0
        self._shared: dict[Hashable, object] = {}

    def extend(self, events: Sequence[Shown], head: int, most_bytes: int) -> None:
        """The log has grown to `head`; keep its newest events, as far as they fit."""
        self._shared.clear()
        self._events += events
        self._bytes += sum(len(event.json) for event in events)
        self.head = head
        self._shrink(most_bytes)

    def after(self, position: int) -> list[Shown] | None:
        """What came after a position; None when some of it is no longer here."""
        if position < self.floor:
            return None
        return self._events[bisect_right(self._events, position, key=_position) :]

    def share(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, made once until the log grows: listeners are often alike.

        Fifty at the same place with the same filter are sent the very same bytes.
        """
        if key not in self._shared:
            if len(self._shared) >= _MOST_SHARED:
                self._shared.clear()
            self._shared[key] = make()
        return cast(T, self._shared[key])

    def _shrink(self, most_bytes: int) -> None:
        gone = 0
        while self._bytes > most_bytes and gone < len(self._events):
            self._bytes -= len(self._events[gone].json)
            self.floor = self._events[gone].position
            gone += 1
        del self._events[:gone]


def _position(event: Shown) -> int:
    return event.position
