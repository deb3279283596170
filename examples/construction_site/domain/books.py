"""Where commands find aggregates and record what these decide."""

from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from domain import model
from domain.errors import NotFound
from domain.log.entry import Context
from domain.model import AnyAggregate, Ongoing

A = TypeVar("A", bound=AnyAggregate)
Open = TypeVar("Open", bound=Ongoing)


class Books(Protocol):
    """The log, or whoever records many commands of the past at once."""

    def load(self, kind: type[A], originator_id: str) -> A:
        """The aggregate as it is now; raises NotFound."""

    def record(self, aggregate: AnyAggregate, context: Context) -> None:
        """Append what it decided."""


@dataclass(frozen=True)
class Desk:
    """Where a command is carried out: in which books, for which tenant, and who asks."""

    books: Books
    tenant_id: UUID
    context: Context

    def named(self, stream: str) -> str:
        """The library's name for a stream of the tenant."""
        return model.originator_id(self.tenant_id, stream)

    def load(self, kind: type[A], stream: str) -> A:
        """The aggregate of this stream as it is now. Raises NotFound."""
        return self.books.load(kind, self.named(stream))

    def load_or_blank(self, kind: type[Open], stream: str) -> Open:
        """The same for one that nothing begins."""
        try:
            return self.load(kind, stream)
        except NotFound:
            return kind.blank(self.named(stream))

    def record(self, aggregate: AnyAggregate) -> None:
        """Append what it decided, or nothing. Raises VersionConflict."""
        self.books.record(aggregate, self.context)
