"""What aggregates have in common: a stream of their own within a tenant's log."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from eventsourcing.domain import (
    BaseAggregate,
    CanInitAggregate,
    CanMutateAggregate,
    MetaDomainEvent,
)

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


class AggregateCreated(AggregateEvent, CanInitAggregate[str]):
    """The first event of an aggregate."""

    originator_topic: str


class Aggregate(BaseAggregate[str]):
    """Base of all aggregates; each pins its TOPIC and names its events' topics.

    An event's topic is also its public type: of Daybook's own, under `daybook.`.
    """

    TOPIC: ClassVar[str]

    class Event(AggregateEvent):
        """Base of an aggregate's changes; the library derives each from it."""

    class Created(Event, AggregateCreated):
        """Base of an aggregate's beginning."""

    @property
    def tenant_id(self) -> UUID:
        """Whose it is."""
        return tenant_and_stream(self.id)[0]

    @property
    def stream(self) -> str:
        """Its stream in the tenant's log."""
        return tenant_and_stream(self.id)[1]
