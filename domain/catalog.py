"""Every event Daybook itself writes: topic, class and aggregate; and how others add theirs.

Topics are stored for ever, so they are names we chose, never module paths; a test freezes
the list. An event's topic is also its public type.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from eventsourcing.utils import register_topic

from domain.consumers.consumer import Consumer
from domain.model import AggregateEvent, AnyAggregate
from domain.tenancy.api_key import ApiKey
from domain.tenancy.tenant import Tenant
from domain.webhooks.deaths import Deaths
from domain.webhooks.event_type import EventType
from domain.webhooks.replay import Replay
from domain.webhooks.subscription import Subscription

AGGREGATES: tuple[type[AnyAggregate], ...] = (
    Tenant,
    ApiKey,
    EventType,
    Subscription,
    Replay,
    Deaths,
    Consumer,
)


class Meaning(NamedTuple):
    """What an event type of somebody's own context tells, and an example of its data."""

    description: str
    example: dict[str, Any]


def events(aggregates: Iterable[type[AnyAggregate]]) -> dict[str, type[AggregateEvent]]:
    """The events of these aggregates, by topic."""
    return {topic: event for topic, event, _ in _found(aggregates)}


def aggregate_of(aggregates: Iterable[type[AnyAggregate]]) -> dict[str, str]:
    """The topic of each event -> that of its aggregate, which resolves from now on."""
    found = {}
    for topic, _, aggregate in _found(aggregates):
        register_topic(aggregate.TOPIC, aggregate)
        found[topic] = aggregate.TOPIC
    return found


def _found(
    aggregates: Iterable[type[AnyAggregate]],
) -> Iterator[tuple[str, type[AggregateEvent], type[AnyAggregate]]]:
    for aggregate in aggregates:
        for member in vars(aggregate).values():
            is_event = isinstance(member, type) and issubclass(member, AggregateEvent)
            if is_event and hasattr(member, "TOPIC"):
                yield member.TOPIC, member, aggregate


EVENTS = events(AGGREGATES)
AGGREGATE_OF = aggregate_of(AGGREGATES)

# What each tells, for whoever reads the catalogue of types.
MEANINGS: dict[str, str] = {
    "daybook.tenant.created": "A tenant begins: the first event of its log",
    "daybook.tenant.updated": "A tenant has another name or external id",
    "daybook.tenant.configured": "A tenant has other settings",
    "daybook.tenant.suspended": "A tenant is suspended: its keys may do nothing",
    "daybook.tenant.resumed": "A suspended tenant goes on",
    "daybook.tenant.offboarded": "A tenant is ended, for good",
    "daybook.tenant.entered": "A platform key acts for the tenant, first of that day",
    "daybook.key.created": "An API key is made",
    "daybook.key.rotated": "An API key is replaced by another secret",
    "daybook.key.revoked": "An API key is ended",
    "daybook.event_type.declared": "An event type is declared for the first time",
    "daybook.event_type.updated": "An event type is declared anew",
    "daybook.webhook.created": "A webhook is made",
    "daybook.webhook.updated": "A webhook has other settings",
    "daybook.webhook.secret_rotated": "A webhook has another secret to sign with",
    "daybook.webhook.enabled": "A disabled webhook sends again",
    "daybook.webhook.disabled": "A webhook attempts nothing more until it is enabled",
    "daybook.webhook.deleted": "A webhook is ended",
    "daybook.replay.requested": "Events of the past are to be sent to a webhook",
    "daybook.replay.completed": "A replay is done",
    "daybook.replay.cancelled": "A replay is stopped before its end",
    "daybook.consumer.created": "A consumer is made",
    "daybook.consumer.recreated": "A consumer is made again under a name that was free",
    "daybook.consumer.updated": "A consumer has other settings",
    "daybook.consumer.moved": "A consumer goes on from another place",
    "daybook.consumer.deleted": "A consumer is ended",
    "daybook.delivery.dead": "Deliveries were given up: so many since a webhook's last",
}
