"""Stored bytes of every event and version there has been: they load, for ever.

`frozen_events.json` has an example of each event as today's code writes it. When an event
gets another form, its line there changes and the old one goes to `OLD` below, as it is: no
test makes old bytes, or a mistake in today's code could make them wrong as well.

Nothing but this reads old bytes. The inline models are given new events only; one that is
made again from the log reads fields that both versions of a description have.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from eventsourcing.utils import register_topic

from domain import catalog, ids
from domain.codec import DatedEvent, JSONTranscoder, LogMapper, UnknownTopic
from domain.consumers import consumer
from domain.consumers.consumer import Consumer
from domain.model import Aggregate, AggregateEvent
from domain.tenancy import api_key, settings, tenant
from domain.tenancy.api_key import ApiKey
from domain.tenancy.tenant import Tenant
from domain.webhooks import deaths, event_type, replay, subscription
from domain.webhooks.deaths import Deaths
from domain.webhooks.event_type import Declaration, EventType
from domain.webhooks.replay import Replay, Wanted
from domain.webhooks.settings import Settings
from domain.webhooks.subscription import Subscription

FILE = Path(__file__).with_name("frozen_events.json")
FROZEN = {
    topic: state.encode()
    for topic, state in json.loads(FILE.read_text("utf-8")).items()
}

SOME_ID = UUID("01924c8a-7b00-7000-8000-00000000001d")
NAMES = {
    Tenant: tenant.originator_id(SOME_ID),
    ApiKey: api_key.originator_id(SOME_ID, SOME_ID),
    EventType: event_type.originator_id(SOME_ID, "crane.inspected"),
    Subscription: subscription.originator_id(SOME_ID, SOME_ID),
    Replay: replay.originator_id(SOME_ID, SOME_ID, SOME_ID),
    Deaths: deaths.originator_id(SOME_ID, SOME_ID, 1),
    Consumer: consumer.originator_id(SOME_ID, "erp"),
}
MAPPER = LogMapper(JSONTranscoder(), aggregates=catalog.AGGREGATE_OF)
THEN = datetime(2026, 9, 1, 12, tzinfo=UTC)

URL = "https://receiver.example/hook"
FIRST_SETTINGS = {
    "url": URL,
    "event_types": ["crane.*"],
    "streams": ["*"],
    "filter": None,
    "name": "payroll",
    "description": None,
    "header_names": [],
    "headers_version": 0,
    "format": "standard",
    "signing": ["v1"],
    "retry": "durable",
    "timeout_seconds": 15,
    "rate_per_second": None,
    "max_in_flight": 10,
    "ordering": "none",
    "on_dead": "continue",
    "disable_after": {"failures": 10, "over_seconds": 86400},
    "keep_response": False,
    "networks": None,
    "metadata": {"site": 7},
}
NEXT_SETTINGS = FIRST_SETTINGS | {
    "event_types": ["*"],
    "name": None,
    "description": "Everything.",
    "retry": "fast",
    "timeout_seconds": 5,
    "max_in_flight": 1,
    "metadata": {},
}

SOME_KEY = ids.encode("key", SOME_ID)
TENANT_SETTINGS = {
    "strict_types": True,
    "retention_days": 30,
    "limits": {"webhooks": 5},
}

WANTED = Wanted(
    from_position=3, to_position=9, event_types=["crane.*"], only_failed=True, count=4
)
PULLED = {"event_types": ["crane.*"], "streams": ["site/*"], "filter": None}
PULLED_NEXT = PULLED | {"streams": ["*"], "filter": {"data.passed": False}}
LOOKED_AT_CLOSELY = Declaration(
    description="Looked at closely.", example={"passed": True}, deprecated=True
)

# The life of one aggregate of each kind: its events, and what they have made of it.
LIVES: dict[type[Aggregate], list[tuple[str, dict[str, Any]]]] = {
    Tenant: [
        ("daybook.tenant.created", {"name": "Northside", "external_id": "n-1"}),
        ("daybook.tenant.updated", {"name": "Südufer", "external_id": None}),
        ("daybook.tenant.configured", {"settings": TENANT_SETTINGS}),
        ("daybook.tenant.entered", {"entered": {SOME_KEY: "2026-09-01"}}),
        ("daybook.tenant.suspended", {"is_suspended": True}),
        ("daybook.tenant.resumed", {"is_suspended": False}),
        ("daybook.tenant.suspended", {"is_suspended": True}),
        ("daybook.tenant.offboarded", {"is_offboarded": True}),
    ],
    ApiKey: [
        (
            "daybook.key.created",
            {
                "name": "ci",
                "scopes": ["events:read", "events:write"],
                "expires_at": "2027-01-01T00:00:00.000000Z",
                "is_revoked": False,
            },
        ),
        (
            "daybook.key.rotated",
            {"name": "ci 2", "scopes": ["events:read"], "expires_at": None},
        ),
        ("daybook.key.revoked", {"is_revoked": True}),
    ],
    EventType: [
        (
            "daybook.event_type.declared",
            {
                "type": "crane.inspected",
                "declaration": Declaration(description="Looked at."),
                "schemas": 0,
            },
        ),
        (
            "daybook.event_type.updated",
            {
                "type": "crane.inspected",
                "declaration": LOOKED_AT_CLOSELY,
                "schemas": 0,
            },
        ),
    ],
    Subscription: [
        (
            "daybook.webhook.created",
            {"settings": FIRST_SETTINGS, "is_enabled": True, "is_deleted": False},
        ),
        ("daybook.webhook.updated", {"settings": NEXT_SETTINGS}),
        ("daybook.webhook.secret_rotated", {}),
        ("daybook.webhook.disabled", {"is_enabled": False}),
        ("daybook.webhook.enabled", {"is_enabled": True}),
        ("daybook.webhook.deleted", {"is_deleted": True}),
    ],
    Replay: [
        ("daybook.replay.requested", {"is_running": True}),
        ("daybook.replay.completed", {"is_running": False}),
        ("daybook.replay.cancelled", {"is_running": False}),
    ],
    Deaths: [("daybook.delivery.dead", {})],
    Consumer: [
        (
            "daybook.consumer.created",
            {"settings": PULLED, "start": "beginning", "is_deleted": False},
        ),
        ("daybook.consumer.updated", {"settings": PULLED_NEXT}),
        ("daybook.consumer.moved", {}),
        ("daybook.consumer.deleted", {"is_deleted": True}),
        (
            "daybook.consumer.recreated",
            {"settings": PULLED, "start": "now", "is_deleted": False},
        ),
    ],
}

# Bytes in logs of earlier programs, by topic and version: never to be changed.
OLD = {
    ("daybook.event_type.declared", 1): (
        b'{"type":"crane.inspected","description":"Looked at.","example":null,'
        b'"deprecated":false}'
    ),
    ("daybook.event_type.updated", 2): (
        b'{"type":"crane.inspected","description":"Looked at closely.",'
        b'"example":{"passed":true},"deprecated":true,"class_version":2}'
    ),
    ("daybook.event_type.updated", 1): (
        b'{"description":"Looked at closely.","example":{"passed":true},'
        b'"deprecated":true}'
    ),
    ("daybook.webhook.enabled", 1): b"{}",
    ("daybook.webhook.created", 1): (
        b'{"settings":{"url":"https://receiver.example/hook",'
        b'"event_types":["crane.*"],"name":"payroll","description":null,'
        b'"retry":"durable","timeout_seconds":15,"max_in_flight":10,'
        b'"metadata":{"site":7}}}'
    ),
    ("daybook.webhook.updated", 1): (
        b'{"settings":{"url":"https://receiver.example/hook",'
        b'"event_types":["*"],"name":null,"description":"Everything.",'
        b'"retry":"fast","timeout_seconds":5,"max_in_flight":1,"metadata":{}}}'
    ),
}


def loaded(kind: type[Aggregate], stored: dict[str, bytes]) -> Iterator[Any]:
    """The aggregate of that kind after each event of its life, from these bytes."""
    aggregate: Any = None
    for version, (topic, _) in enumerate(LIVES[kind], 1):
        row = DatedEvent(NAMES[kind], version, topic, stored[topic], THEN)
        aggregate = MAPPER.to_domain_event(row).mutate(aggregate)
        yield aggregate


def lived(kind: type[Aggregate]) -> Aggregate:
    """The same life, lived today."""
    name = NAMES[kind]
    if kind is Tenant:
        made = Tenant(id=name, name="Northside", external_id="n-1")
        made.change("Südufer", None)
        made.configure(settings.read(TENANT_SETTINGS))
        made.enter(SOME_KEY, "2026-09-01")
        made.suspend("unpaid")
        made.resume()
        made.suspend("unpaid")
        made.offboard()
        return made
    if kind is ApiKey:
        scopes, end = ["events:read", "events:write"], "2027-01-01T00:00:00.000000Z"
        key = ApiKey(id=name, name="ci", scopes=scopes, expires_at=end)
        key.rotate("ci 2", ["events:read"], None, "2026-09-02T12:00:00.000000Z")
        key.revoke()
        return key
    if kind is EventType:
        first = Declaration(description="Looked at.")
        declared = EventType.begin(name, "crane.inspected", first)
        declared.declare(LOOKED_AT_CLOSELY)
        return declared
    if kind is Replay:
        asked = Replay(id=name, kind="replay", **msgspec.structs.asdict(WANTED))
        asked._complete(handed_off=4, succeeded=3, dead=1)
        asked._cancel()  # one life of both: no replay ends twice
        return asked
    if kind is Deaths:
        return Deaths(
            id=name,
            webhook_id="wh_01jj6aeyr00e00000000000071",
            count=2,
            since="2026-09-01T11:58:00.000000Z",
            last_position=9,
        )
    if kind is Consumer:
        pulling = Consumer(
            id=name, name="erp", settings=PULLED, start="beginning", position=0
        )
        pulling.configure(PULLED_NEXT)
        pulling.seek({"position": 3}, 2)
        pulling.delete()
        pulling.recreate(PULLED, "now", None)
        return pulling
    webhook = Subscription(id=name, settings=FIRST_SETTINGS)
    webhook.configure(msgspec.convert(NEXT_SETTINGS, Settings))
    webhook.rotate_secret("2026-09-02T12:00:00.000000Z")
    webhook.disable("manual", "on holiday")
    webhook.enable()
    webhook.delete()
    return webhook


@pytest.mark.parametrize("kind", LIVES)
def test_what_is_written_today_is_what_the_file_has(kind: type[Aggregate]) -> None:
    written = [MAPPER.to_stored_event(event) for event in lived(kind).pending_events]
    assert [(event.topic, event.state) for event in written] == [
        (topic, FROZEN[topic]) for topic, _ in LIVES[kind]
    ]


@pytest.mark.parametrize("kind", LIVES)
def test_what_the_file_has_makes_the_aggregate(kind: type[Aggregate]) -> None:
    expected: dict[str, Any] = {}
    steps = zip(LIVES[kind], loaded(kind, FROZEN), strict=True)
    for version, ((_, changed), aggregate) in enumerate(steps, 1):
        expected |= changed
        assert {name: getattr(aggregate, name) for name in expected} == expected
        assert (aggregate.id, aggregate.version) == (NAMES[kind], version)
        assert aggregate.modified_on == THEN


@pytest.mark.parametrize(("topic", "version"), OLD)
def test_old_bytes_make_the_same_aggregate(topic: str, version: int) -> None:
    """And not only that: old events look like new ones to whoever reads them."""
    kind = next(kind for kind, life in LIVES.items() if topic in dict(life))
    old = FROZEN | {topic: OLD[topic, version]}
    assert list(loaded(kind, old))[-1] == list(loaded(kind, FROZEN))[-1]
    events = [
        MAPPER.to_domain_event(DatedEvent(NAMES[kind], 2, topic, state, THEN))
        for state in (old[topic], FROZEN[topic])
    ]
    assert events[0] == events[1]


def test_every_event_and_version_is_frozen() -> None:
    assert FROZEN.keys() == catalog.EVENTS.keys()
    assert {topic for life in LIVES.values() for topic, _ in life} == FROZEN.keys()
    assert OLD.keys() == {
        (topic, version)
        for topic, event in catalog.EVENTS.items()
        for version in range(1, getattr(event, "class_version", 1))
    }


def test_an_event_of_a_newer_program_is_left_to_it() -> None:
    topic = "daybook.event_type.updated"
    state = FROZEN[topic].replace(b'"class_version":3', b'"class_version":4')
    row = DatedEvent(NAMES[EventType], 2, topic, state, THEN)
    with pytest.raises(UnknownTopic, match="version 4"):
        MAPPER.to_domain_event(row)


def test_a_very_old_event_goes_through_every_version() -> None:
    # given: an event that has changed twice
    class Moved(AggregateEvent):
        TOPIC = "test.moved"
        class_version = 3

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["to"] = [state.pop("x"), state.pop("y")]

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            state["to"].append(0)

    register_topic(Moved.TOPIC, Moved)
    mapper = LogMapper(JSONTranscoder(), aggregates={Moved.TOPIC: ""})
    # then
    for state in (
        b'{"x":1,"y":2}',
        b'{"to":[1,2],"class_version":2}',
        b'{"to":[1,2,0],"class_version":3}',
    ):
        event = mapper.to_domain_event(DatedEvent("a/b", 1, Moved.TOPIC, state, THEN))
        assert vars(event)["to"] == [1, 2, 0]
