"""What a projection is: a name and what to do with the next events, in one transaction."""

from typing import NamedTuple, Protocol

from projections.postgres import Connection


class Span(NamedTuple):
    """The events after `after`, up to and including `through`; log positions, no holes."""

    after: int
    through: int

    @property
    def size(self) -> int:
        """How many events it has."""
        return self.through - self.after


class Projection(Protocol):
    """Posts events from the log into tables of its own."""

    @property
    def name(self) -> str:
        """Its checkpoint's name: chosen once, kept for ever."""

    def batch_size(self) -> int:
        """How many events the next batch may have."""

    async def apply(self, connection: Connection, span: Span) -> None:
        """Post the span within the open transaction; whatever it raises undoes it all."""

    def applied(self, span: Span) -> None:
        """The span's transaction is committed: tell whoever waits in this process."""


class LogDamaged(RuntimeError):
    """Positions are missing from the log: stop, and let a person look."""
