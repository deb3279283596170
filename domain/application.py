"""The one event-sourced application: aggregates in, events into the log."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import Mapper

from domain import catalog
from domain.codec import JSONTranscoder, LogMapper, OfPublishers
from domain.errors import NotFound
from domain.log.entry import Context
from domain.model import AnyAggregate

A = TypeVar("A", bound=AnyAggregate)


class Log(Application[str]):
    """Loads and records aggregates. Blocking: call it from a thread, never a loop."""

    name = "log"  # the library names things after it: pinned

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        aggregates: Sequence[type[AnyAggregate]] = (),
    ) -> None:
        """`aggregates`: those of other contexts, beside Daybook's own."""
        # The library's constructor asks for the mapper.
        self._topics = catalog.AGGREGATE_OF | catalog.aggregate_of(aggregates)
        super().__init__(env)

    def construct_mapper(self) -> Mapper[str]:
        """Our JSON, and only topics of the catalogue."""
        return LogMapper(JSONTranscoder(), aggregates=self._topics)

    def load(self, kind: type[A], originator_id: str) -> A:
        """The aggregate as it is now; raises NotFound."""
        return self._load(kind, originator_id, None)

    def load_as_of(self, kind: type[A], originator_id: str, *, version: int) -> A:
        """The aggregate as it was at a version; one still to come is the present.

        Raises NotFound; version 0 is before it began.
        """
        return self._load(kind, originator_id, version)

    def record(self, aggregate: AnyAggregate, context: Context) -> None:
        """Append what the aggregate decided, with the context's riders, or nothing.

        Nothing decided appends nothing. Raises DomainError.
        """
        if aggregate.pending_events:
            self.save(aggregate, context=context)

    def record_all(self, aggregates: Sequence[AnyAggregate], context: Context) -> None:
        """Append what several aggregates decided, in this order, all or nothing."""
        self.save(*aggregates, context=context)

    def _load(self, kind: type[A], originator_id: str, version: int | None) -> A:
        try:
            found: Any = self.repository.get(originator_id, version=version)
        except (AggregateNotFoundError, OfPublishers):
            raise NotFound from None
        if not isinstance(found, kind):
            raise NotFound
        return found
