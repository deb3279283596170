"""Every event Daybook itself writes: topic, class and aggregate.

Topics are stored for ever, so they are names we chose, never module paths; a test freezes
the list. An event's topic is also its public type.
"""

from collections.abc import Iterator

from eventsourcing.utils import register_topic

from domain.consumers.consumer import Consumer
from domain.model import Aggregate, AggregateEvent
from domain.tenancy.api_key import ApiKey
from domain.tenancy.tenant import Tenant
from domain.webhooks.deaths import Deaths
from domain.webhooks.event_type import EventType
from domain.webhooks.replay import Replay
from domain.webhooks.subscription import Subscription

AGGREGATES: tuple[type[Aggregate], ...] = (
    Tenant,
    ApiKey,
    EventType,
    Subscription,
    Replay,
    Deaths,
    Consumer,
)


def _events(aggregate: type[Aggregate]) -> Iterator[type[AggregateEvent]]:
    for member in vars(aggregate).values():
        is_event = isinstance(member, type) and issubclass(member, AggregateEvent)
        if is_event and hasattr(member, "TOPIC"):
            yield member


EVENTS: dict[str, type[AggregateEvent]] = {
    event.TOPIC: event  # type: ignore[attr-defined]  # given by the library's decorator
    for aggregate in AGGREGATES
    for event in _events(aggregate)
}
AGGREGATE_OF: dict[str, str] = {
    event.TOPIC: aggregate.TOPIC  # type: ignore[attr-defined]  # as above
    for aggregate in AGGREGATES
    for event in _events(aggregate)
}

for _aggregate in AGGREGATES:
    register_topic(_aggregate.TOPIC, _aggregate)
