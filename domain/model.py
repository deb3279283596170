"""What aggregates have in common: a stream of their own within a tenant's log."""

from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from eventsourcing.domain import (
    BaseAggregate,
    CanInitAggregate,
    CanMutateAggregate,
    MetaDomainEvent,
)

from domain import clock

A = TypeVar("A")

# Streams that begin with it are Daybook's own: the publish API's grammar has no such sign.
PLATFORM = "$"


def originator_id(tenant_id: UUID, stream: str) -> str:
    """The library's name for a stream: unique over all tenants."""
    return f"{tenant_id}/{stream}"


def tenant_and_stream(originator: str) -> tuple[UUID, str]:
    """The inverse of `originator_id`."""
    tenant, _, stream = originator.partition("/")
    return UUID(tenant), stream


class AggregateEvent(CanMutateAggregate[str], metaclass=MetaDomainEvent):
    """A fact about an aggregate: frozen, named, kept for ever."""

    originator_id: str
    originator_version: int
    timestamp: datetime

    @staticmethod
    def create_timestamp() -> datetime:
        """When it happens: the library's own way would read another clock."""
        return clock.now()


class AggregateCreated(AggregateEvent, CanInitAggregate[str]):
    """The first event of an aggregate."""

    originator_topic: str


class AnyAggregate(BaseAggregate[str]):
    """What all aggregates have; each pins its TOPIC and names its events' topics.

    An event's topic is also its public type: of Daybook's own, under `daybook.`.
    """

    TOPIC: ClassVar[str]

    class Event(AggregateEvent):
        """Base of an aggregate's changes; the library derives each from it."""

    @property
    def tenant_id(self) -> UUID:
        """Whose it is."""
        return tenant_and_stream(self.id)[0]

    @property
    def stream(self) -> str:
        """Its stream in the tenant's log."""
        return tenant_and_stream(self.id)[1]


class Aggregate(AnyAggregate):
    """An aggregate that begins with an event of its own, and never again."""

    class Event(AnyAggregate.Event):
        """Base of its changes."""

    class Created(Event, AggregateCreated):
        """Base of its beginning."""


class Ongoing(AnyAggregate):
    """An aggregate that nothing begins: any of its events may be the first of its stream.

    Before that it is `blank`: a plan without an entry.
    """

    class Event(AnyAggregate.Event):
        """Base of its changes."""

        OF: ClassVar[Any]  # the aggregate's class

        def mutate(self, aggregate: A | None) -> A | None:
            """Applies itself, to a blank aggregate when it is the first."""
            return super().mutate(aggregate or self.OF.blank(self.originator_id))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.Event.OF = cls

    @classmethod
    def blank(cls, originator_id: str) -> Self:
        """The aggregate before its first event."""
        made = cls.__new__(cls)
        made.__base_init__(originator_id, 0, clock.now())
        made.__init__()  # type: ignore[misc]  # of subclasses, without arguments
        return made
