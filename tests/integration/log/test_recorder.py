"""The `eventsourcing` library on the log: aggregates, and the models posted with them."""

import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain import ids, model
from domain.application import Log
from domain.codec import UnknownTopic
from domain.errors import LimitReached, NotFound, Unavailable, VersionConflict
from domain.log.entry import OPERATOR, SYSTEM, Context
from domain.tenancy import commands as tenancy
from domain.tenancy.api_key import ApiKey
from domain.tenancy.api_key import originator_id as key_originator
from domain.tenancy.tenant import Tenant
from domain.tenancy.tenant import originator_id as tenant_originator
from domain.webhooks import commands as webhooks
from domain.webhooks import subscription
from domain.webhooks.event_type import Declaration, EventType
from domain.webhooks.event_type import originator_id as type_originator
from domain.webhooks.subscription import Subscription
from projections.log.recorder import LogFactory, LogRecorder, environment
from projections.log.request_queue import Request
from projections.tenancy.inline import key_rider
from tests.support.builders import a_tenant, a_webhook, an_entry, settings

Admin = psycopg.Connection[Any]
FOREVER = 9223372036854775807


@pytest.fixture
def whole_log(database_url: str) -> Iterator[Log]:
    """The application in the role that may read the whole log."""
    log = Log(environment(database_url, "daybook_worker"))
    yield log
    log.close()


def recorder_of(log: Log) -> LogRecorder:
    assert isinstance(log.recorder, LogRecorder)
    return log.recorder


def stored(admin: Admin) -> list[tuple[str, int]]:
    """The log's topics and versions, in order."""
    rows = admin.execute("select topic, version from events order by log_position")
    return [tuple(row) for row in rows.fetchall()]


# There and back.


def test_a_tenant_comes_back_as_it_was(application: Log) -> None:
    tenant_id = a_tenant(application, "Northside", "n-1")
    tenancy.change_tenant(
        application,
        Context(OPERATOR, operator=True),
        tenant_id,
        {"name": "Südufer", "external_id": None},
    )
    tenant = application.load(Tenant, tenant_originator(tenant_id))
    assert (tenant.name, tenant.external_id, tenant.version) == ("Südufer", None, 2)
    assert (tenant.tenant_id, tenant.stream) == (
        tenant_id,
        f"$tenant/{ids.encode('ten', tenant_id)}",
    )


def test_a_webhook_comes_back_as_it_was(application: Log, tenant_id: UUID) -> None:
    wanted = settings(metadata={"site": [1, 2.5, None, {"a": "é"}]})
    webhook_id = ids.new()
    context = Context(SYSTEM)
    webhooks.create(application, context, tenant_id, webhook_id, wanted)
    webhook = webhooks.load(application, tenant_id, webhook_id)
    assert webhook.settings["metadata"] == wanted.metadata
    assert webhook.is_enabled


def test_a_key_comes_back_as_it_was(application: Log, tenant_id: UUID) -> None:
    key_id = ids.new()
    context = Context(SYSTEM, riders=[key_rider(tenant_id, key_id, "dbk_x")])
    scopes = ["events:write", "events:read"]
    tenancy.create_key(
        application,
        context,
        tenant_id,
        key_id,
        name="ci",
        scopes=scopes,
        own_scopes=scopes,
        expires_at=None,
    )
    tenancy.revoke_key(application, Context(SYSTEM), tenant_id, key_id)
    key = application.load(ApiKey, key_originator(tenant_id, key_id))
    assert (key.name, key.scopes, key.is_revoked) == ("ci", sorted(scopes), True)


def test_an_event_type_comes_back_as_it_was(application: Log, tenant_id: UUID) -> None:
    for description in ("Looked at.", "Looked at closely."):
        webhooks.declare(
            application,
            Context(SYSTEM),
            tenant_id,
            "crane.inspected",
            Declaration(description=description, example={"passed": True}),
        )
    kind = application.load(EventType, type_originator(tenant_id, "crane.inspected"))
    assert kind.declaration.description == "Looked at closely."
    assert kind.version == 2


def test_times_come_back_as_they_were(application: Log, tenant_id: UUID) -> None:
    webhook = Subscription(
        id=subscription.originator_id(tenant_id, ids.new()),
        settings=msgspec.to_builtins(settings()),
    )
    created_on = webhook.created_on
    application.record(webhook, Context(SYSTEM))
    found = application.load(Subscription, webhook.id)
    assert (found.created_on, found.modified_on) == (created_on, created_on)


def test_what_is_not_there_is_not_found(application: Log, tenant_id: UUID) -> None:
    with pytest.raises(NotFound):
        webhooks.load(application, tenant_id, ids.new())


def test_a_stream_that_a_publisher_began_is_no_aggregates(
    application: Log, tenant_id: UUID
) -> None:
    # as from before a context with streams like this one was added
    stream = "sites/7"
    assert isinstance(application.factory, LogFactory)
    published = an_entry(tenant_id, stream=stream)
    application.factory.appender.submit(Request([published]))
    with pytest.raises(NotFound):
        application.load(Tenant, model.originator_id(tenant_id, stream))


def test_another_tenants_webhook_is_not_found(
    application: Log, tenant_id: UUID
) -> None:
    webhook_id = a_webhook(application, tenant_id)
    with pytest.raises(NotFound):
        webhooks.load(application, ids.new(), webhook_id)


def test_an_aggregate_of_another_kind_is_not_found(
    application: Log, tenant_id: UUID
) -> None:
    webhook_id = a_webhook(application, tenant_id)
    with pytest.raises(NotFound):
        application.load(Tenant, subscription.originator_id(tenant_id, webhook_id))


def test_nothing_decided_appends_nothing(
    application: Log, admin: Admin, tenant_id: UUID
) -> None:
    webhook_id = a_webhook(application, tenant_id)
    context = Context(SYSTEM)
    webhooks.enable(application, context, tenant_id, webhook_id)
    assert context.position is None
    assert len(stored(admin)) == 1


# What the caller hears.


def test_who_decides_on_an_old_version_hears_of_the_conflict(
    application: Log, admin: Admin, tenant_id: UUID
) -> None:
    # given: two who loaded the same webhook
    webhook_id = a_webhook(application, tenant_id)
    early = webhooks.load(application, tenant_id, webhook_id)
    late = webhooks.load(application, tenant_id, webhook_id)
    early.disable("manual")
    late.delete()
    # when
    application.record(early, Context(SYSTEM))
    with pytest.raises(VersionConflict) as caught:
        application.record(late, Context(SYSTEM))
    # then
    conflict = caught.value
    assert (conflict.stream, conflict.expected, conflict.actual) == (late.stream, 1, 2)
    assert [topic for topic, _ in stored(admin)] == [
        "daybook.webhook.created",
        "daybook.webhook.disabled",
    ]


def test_the_context_gets_the_receipts(application: Log, tenant_id: UUID) -> None:
    context = Context(SYSTEM)
    webhook_ids = [ids.new(), ids.new()]
    for webhook_id in webhook_ids:
        webhooks.create(application, context, tenant_id, webhook_id, settings())
    assert [receipt.position for receipt in context.receipts] == [1, 2]
    assert context.position == 2


def test_several_changes_of_one_aggregate_go_in_together(
    application: Log, admin: Admin, tenant_id: UUID
) -> None:
    webhook_id = a_webhook(application, tenant_id)
    webhook = webhooks.load(application, tenant_id, webhook_id)
    webhook.disable("manual")
    webhook.enable()
    webhook.delete()
    application.record(webhook, Context(SYSTEM))
    assert [version for _, version in stored(admin)] == [1, 2, 3, 4]


def test_at_the_limit_nothing_is_left_of_one_more(
    application: Log,
    admin: Admin,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given: a tenant with as many webhooks as it may have
    monkeypatch.setattr(subscription, "MOST_WEBHOOKS", 2)
    a_webhook(application, tenant_id)
    second = a_webhook(application, tenant_id)
    # when
    with pytest.raises(LimitReached, match="at most 2"):
        a_webhook(application, tenant_id)
    # then: neither event nor row nor secret
    for table in ("events", "webhooks", "webhook_secrets", "lanes"):
        assert admin.execute(f"select from {table}").rowcount == 2
    # and a deleted one makes room
    webhooks.delete(application, Context(SYSTEM), tenant_id, second)
    a_webhook(application, tenant_id)


def test_a_database_that_is_away_is_unavailable(tenant_id: UUID) -> None:
    log = Log(environment("postgresql://postgres@127.0.0.1:1/none", "daybook_app"))
    recorder_of(log)._pool.timeout = 0.2
    with pytest.raises(Unavailable):
        webhooks.load(log, tenant_id, ids.new())
    log.close()


# What a row says is never run.


@pytest.mark.parametrize(
    "topic", ["antigravity:fly", "daybook.webhook.invented", "published", "this"]
)
def test_a_topic_that_is_not_in_the_catalogue_is_refused(
    application: Log, tenant_id: UUID, topic: str
) -> None:
    # given: a row that names something else than an event of the catalogue
    webhook_id = ids.new()
    forged = an_entry(tenant_id, stream=subscription.stream(webhook_id), topic=topic)
    assert isinstance(application.factory, LogFactory)
    application.factory.appender.submit(Request([forged]))
    # then
    with pytest.raises(UnknownTopic, match=topic):
        webhooks.load(application, tenant_id, webhook_id)
    assert topic.partition(":")[0] not in sys.modules


# The library's view of the whole log.


def test_notifications_are_the_log_in_order(
    application: Log, whole_log: Log, tenant_id: UUID
) -> None:
    webhook_ids = [a_webhook(application, tenant_id) for _ in range(3)]
    webhooks.delete(application, Context(SYSTEM), tenant_id, webhook_ids[1])
    recorder = recorder_of(whole_log)

    def positions(*words: Any, **choice: Any) -> list[int]:
        return [n.id for n in recorder.select_notifications(*words, **choice)]

    assert recorder.max_notification_id() == 4
    assert positions(None, 10) == [1, 2, 3, 4]
    assert positions(2, 10, inclusive_of_start=False) == [3, 4]
    assert positions(2, 2) == [2, 3]
    assert positions(1, 10, stop=2) == [1, 2]
    assert positions(1, 10, topics=["daybook.webhook.deleted"]) == [4]


def test_a_subscription_gets_what_was_there_and_what_comes(
    application: Log, whole_log: Log, tenant_id: UUID
) -> None:
    a_webhook(application, tenant_id)
    with recorder_of(whole_log).subscribe() as notifications:
        assert next(notifications).id == 1
        a_webhook(application, tenant_id)
        assert next(notifications).id == 2
        notifications.stop()
        assert list(notifications) == []


def test_an_empty_log_has_no_head(whole_log: Log) -> None:
    assert recorder_of(whole_log).max_notification_id() is None


def test_a_part_of_a_stream(application: Log, tenant_id: UUID) -> None:
    webhook_id = a_webhook(application, tenant_id)
    webhooks.delete(application, Context(SYSTEM), tenant_id, webhook_id)
    name = subscription.originator_id(tenant_id, webhook_id)
    recorder = recorder_of(application)

    def versions(**choice: Any) -> list[int]:
        events: list[StoredEvent] = list(recorder.select_events(name, **choice))
        return [event.originator_version for event in events]

    assert versions() == [1, 2]
    assert versions(desc=True) == [2, 1]
    assert versions(gt=1) == [2]
    assert versions(lte=1) == [1]
    assert versions(desc=True, limit=1) == [2]


# The inline models say what the events say.

steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["configure", "enable", "disable", "delete"]),
        st.sampled_from([["*"], ["crane.*"], ["crane.*", "door.opened"], []]),
    ),
    max_size=12,
)


@hypothesis_settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps)
def test_the_inline_models_are_a_fold_of_the_log(
    application: Log, admin: Admin, steps: list[tuple[int, str, list[str]]]
) -> None:
    # given
    tenant_id = ids.new()
    webhook_ids = [a_webhook(application, tenant_id) for _ in range(3)]
    # when
    for number, verb, patterns in steps:
        change(application, tenant_id, webhook_ids[number], verb, patterns)
    # then
    assert_rows_say_what_aggregates_say(application, admin, tenant_id, webhook_ids)
    assert ranges(admin, tenant_id) == fold_of_ranges(application, admin, tenant_id)


def change(
    log: Log, tenant_id: UUID, webhook_id: UUID, verb: str, patterns: list[str]
) -> None:
    context = Context(SYSTEM)
    try:
        if verb == "configure" and patterns:
            wanted = settings(event_types=patterns, name=verb)
            webhooks.configure(log, context, tenant_id, webhook_id, wanted)
        elif verb == "disable":
            webhooks.disable(log, context, tenant_id, webhook_id, "manual")
        elif verb == "enable":
            webhooks.enable(log, context, tenant_id, webhook_id)
        elif verb == "delete":
            webhooks.delete(log, context, tenant_id, webhook_id)
    except NotFound:
        pass  # it is deleted already


def assert_rows_say_what_aggregates_say(
    log: Log, admin: Admin, tenant_id: UUID, webhook_ids: list[UUID]
) -> None:
    rows = admin.execute(
        "select * from webhooks where tenant_id = %s order by number", [tenant_id]
    ).fetchall()
    assert [(row.webhook_id, row.number) for row in rows] == [
        (webhook_id, number) for number, webhook_id in enumerate(webhook_ids, 1)
    ]
    for row in rows:
        webhook = log.load(
            Subscription, subscription.originator_id(tenant_id, row.webhook_id)
        )
        flat = dict(webhook.settings)
        after = flat.pop("disable_after")
        assert {name: getattr(row, name) for name in flat} == flat
        assert row.disable_failures == after["failures"]
        assert row.disable_over_seconds == after["over_seconds"]
        state = "active" if webhook.is_enabled else "disabled"
        assert row.state == ("deleted" if webhook.is_deleted else state)
        assert row.version == webhook.version
        assert row.created_at == webhook.created_on
        assert row.updated_at == webhook.modified_on


def ranges(admin: Admin, tenant_id: UUID) -> set[tuple[Any, ...]]:
    rows = admin.execute(
        "select webhook_id, pattern, from_position, to_position, version"
        " from webhook_ranges where tenant_id = %s",
        [tenant_id],
    )
    return {tuple(row) for row in rows.fetchall()}


def fold_of_ranges(log: Log, admin: Admin, tenant_id: UUID) -> set[tuple[Any, ...]]:
    """What was in force from where to where, from the events alone."""
    found: set[tuple[Any, ...]] = set()
    open_ranges: dict[UUID, set[tuple[Any, ...]]] = {}
    rows = admin.execute(
        "select * from events where tenant_id = %s order by position", [tenant_id]
    )
    for event in rows.fetchall():
        webhook_id = ids.decode("wh", event.stream.rpartition("/")[2])
        if event.topic not in (
            "daybook.webhook.created",
            "daybook.webhook.updated",
            "daybook.webhook.deleted",
        ):
            continue
        for pattern, start, version in open_ranges.pop(webhook_id, set()):
            found.add((webhook_id, pattern, start, event.position, version))
        if event.topic != "daybook.webhook.deleted":
            patterns = log.mapper.transcoder.decode(event.state)["settings"]
            open_ranges[webhook_id] = {
                (pattern, event.position + 1, event.version)
                for pattern in patterns["event_types"]
            }
    for webhook_id, still in open_ranges.items():
        for pattern, start, version in still:
            found.add((webhook_id, pattern, start, FOREVER, version))
    return found


def test_keys_and_tenants_are_rows(application: Log, admin: Admin) -> None:
    tenant_id = a_tenant(application, "Northside", "n-1")
    key_id = ids.new()
    tenancy.create_key(
        application,
        Context(
            OPERATOR, operator=True, riders=[key_rider(tenant_id, key_id, "dbk_1")]
        ),
        tenant_id,
        key_id,
        name="ci",
        scopes=["events:write"],
        own_scopes=["events:write"],
        expires_at=None,
    )
    tenant = admin.execute("select * from tenants").fetchone()
    assert (tenant.tenant_id, tenant.name, tenant.external_id) == (
        tenant_id,
        "Northside",
        "n-1",
    )
    key = admin.execute("select * from api_keys").fetchone()
    assert (key.name, key.scopes, key.revoked_at) == ("ci", ["events:write"], None)
    context = Context(OPERATOR, operator=True)
    tenancy.revoke_key(application, context, tenant_id, key_id)
    assert admin.execute("select revoked_at from api_keys").fetchone().revoked_at
