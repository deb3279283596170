"""Stored names are frozen: the log outlives every refactoring.

A line may be added. To change or remove one is to make events unreadable that exist.
"""

import dataclasses

from domain import catalog
from domain.model import AggregateEvent
from projections.registry import INLINE

# What has a column of its own and is not in the state.
COLUMNS = {"originator_id", "originator_version", "originator_topic", "timestamp"}

AGGREGATES = {
    "daybook/tenant",
    "daybook/key",
    "daybook/event-type",
    "daybook/webhook",
    "daybook/replay",
    "daybook/deaths",
    "daybook/consumer",
}

EVENT_TYPE = [
    "type",
    "description",
    "schema",
    "schema_version",
    "example",
    "deprecated",
    "secret_fields",
]
EVENTS = {
    "daybook.tenant.created": ["name", "external_id"],
    "daybook.tenant.updated": ["name", "external_id"],
    "daybook.tenant.configured": ["settings"],
    "daybook.tenant.suspended": ["reason"],
    "daybook.tenant.resumed": [],
    "daybook.tenant.offboarded": [],
    "daybook.tenant.entered": ["key_id", "on"],
    "daybook.key.created": ["name", "scopes", "expires_at"],
    "daybook.key.rotated": ["name", "scopes", "expires_at", "previous_expires_at"],
    "daybook.key.revoked": [],
    "daybook.event_type.declared": EVENT_TYPE,
    "daybook.event_type.updated": EVENT_TYPE,
    "daybook.webhook.created": ["settings"],
    "daybook.webhook.updated": ["settings"],
    "daybook.webhook.secret_rotated": ["previous_expires_at"],
    "daybook.webhook.enabled": ["resume"],
    "daybook.webhook.disabled": ["reason", "note"],
    "daybook.webhook.deleted": [],
    "daybook.consumer.created": ["name", "settings", "start", "position"],
    "daybook.consumer.recreated": ["settings", "start", "position"],
    "daybook.consumer.updated": ["settings"],
    "daybook.consumer.moved": ["to", "position"],
    "daybook.consumer.deleted": [],
    "daybook.replay.requested": [
        "kind",
        "from_position",
        "to_position",
        "event_types",
        "only_failed",
        "fresh_ids",
        "count",
    ],
    "daybook.replay.completed": ["handed_off", "succeeded", "dead"],
    "daybook.replay.cancelled": [],
    "daybook.delivery.dead": ["webhook_id", "count", "since", "last_position"],
}


def fields(event: type[AggregateEvent]) -> list[str]:
    """What the event's state holds."""
    given = dataclasses.fields(event)  # type: ignore[arg-type]
    return [field.name for field in given if field.name not in COLUMNS]


def test_events_are_as_they_were() -> None:
    """Other fields are another version: class_version + 1, and an upcast from the last."""
    assert {topic: fields(event) for topic, event in catalog.EVENTS.items()} == EVENTS


def test_aggregates_are_called_as_they_were() -> None:
    assert {aggregate.TOPIC for aggregate in catalog.AGGREGATES} == AGGREGATES


def test_every_version_has_its_upcasts() -> None:
    for event in catalog.EVENTS.values():
        for version in range(1, getattr(event, "class_version", 1)):
            assert hasattr(event, f"upcast_v{version}_v{version + 1}")


def test_our_topics_are_ours_alone() -> None:
    """Types under `daybook.` are refused from publishers, so none can be forged."""
    assert all(topic.startswith("daybook.") for topic in catalog.EVENTS)


def test_every_event_says_what_it_tells() -> None:
    assert catalog.MEANINGS.keys() == catalog.EVENTS.keys()


def test_every_event_is_posted_inline() -> None:
    assert INLINE.keys() == catalog.EVENTS.keys()
