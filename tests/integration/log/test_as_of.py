"""As of then: a stream's state and a list of events at a version, a position, a time."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from domain.application import Log
from domain.errors import NotFound
from domain.log.entry import SYSTEM, Context
from domain.tenancy.tenant import Tenant
from domain.webhooks import commands as webhooks
from domain.webhooks import subscription
from domain.webhooks.subscription import Subscription
from projections.log import views
from projections.log.appender import Appender
from projections.log.request_queue import Request
from projections.log.views import Selection
from projections.postgres import Connection, Database
from tests.support.builders import a_webhook, an_entry, settings

Admin = psycopg.Connection[Any]

INSTANT = timedelta.resolution
LONG_AGO, FAR_OFF = (datetime(year, 1, 1, tzinfo=UTC) for year in (1000, 9999))
LAST_INSTANT = datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def webhook_id(application: Log, appender: Appender, tenant_id: UUID) -> UUID:
    """A webhook with a past, among other events: versions 1 to 4."""

    def somebody_publishes(*streams: str) -> None:
        entries = [an_entry(tenant_id, stream=stream) for stream in streams]
        appender.submit(Request(entries))

    somebody_publishes("site/7")
    webhook_id = a_webhook(application, tenant_id, name="first")
    somebody_publishes("site/7", "site/8", "site/7")
    context = Context(SYSTEM)
    webhooks.configure(
        application, context, tenant_id, webhook_id, settings(name="second")
    )
    webhooks.disable(application, context, tenant_id, webhook_id, "manual")
    somebody_publishes("site/8", "site/7")
    webhooks.delete(application, context, tenant_id, webhook_id)
    return webhook_id


@pytest.fixture
async def reading(database_url: str, tenant_id: UUID) -> AsyncIterator[Connection]:
    """A transaction of the tenant, as the API reads in it."""
    database = Database(database_url, "daybook_app", "test")
    await database.open()
    async with database.tenant(tenant_id) as connection:
        yield connection
    await database.close()


def log_of(admin: Admin, tenant_id: UUID) -> Sequence[Any]:
    return admin.execute(
        "select position, stream, version, recorded_at from events"
        " where tenant_id = %s order by position",
        [tenant_id],
    ).fetchall()


# An aggregate.


def test_an_aggregate_at_each_of_its_versions(
    application: Log, tenant_id: UUID, webhook_id: UUID
) -> None:
    name = subscription.originator_id(tenant_id, webhook_id)

    def state(version: int) -> tuple[Any, ...]:
        found = application.load_as_of(Subscription, name, version=version)
        assert found.version == version
        return (found.settings["name"], found.is_enabled, found.is_deleted)

    assert [state(version) for version in (1, 2, 3, 4)] == [
        ("first", True, False),
        ("second", True, False),
        ("second", False, False),
        ("second", False, True),
    ]


def test_before_it_began_there_is_nothing(
    application: Log, tenant_id: UUID, webhook_id: UUID
) -> None:
    name = subscription.originator_id(tenant_id, webhook_id)
    with pytest.raises(NotFound):
        application.load_as_of(Subscription, name, version=0)
    with pytest.raises(NotFound):
        application.load_as_of(Tenant, name, version=1)


def test_a_version_still_to_come_is_the_present(
    application: Log, tenant_id: UUID, webhook_id: UUID
) -> None:
    name = subscription.originator_id(tenant_id, webhook_id)
    future = application.load_as_of(Subscription, name, version=99)
    assert future == application.load(Subscription, name)


# Positions, times and versions: each against a look at every event.


async def test_a_streams_version_at_every_position(
    reading: Connection, admin: Admin, tenant_id: UUID, webhook_id: UUID
) -> None:
    log = log_of(admin, tenant_id)
    for stream in ("site/7", "site/8", subscription.stream(webhook_id), "site/9"):
        for position in range(len(log) + 2):
            before = [e for e in log if e.stream == stream and e.position <= position]
            found = await views.version_as_of(reading, tenant_id, stream, position)
            assert found == len(before)


async def test_the_position_at_every_time(
    reading: Connection, admin: Admin, tenant_id: UUID, webhook_id: UUID
) -> None:
    log = log_of(admin, tenant_id)
    times = {event.recorded_at for event in log}
    assert len(times) < len(log), "what was appended together has one time"
    around = {
        time + step for time in times for step in (-INSTANT, 0 * INSTANT, INSTANT)
    }
    for moment in {*around, LONG_AGO, FAR_OFF, LAST_INSTANT}:
        for last in (0, 4, len(log)):
            before = [e for e in log[:last] if e.recorded_at <= moment]
            found = await views.position_as_of(reading, tenant_id, moment, last)
            assert found == len(before)


async def test_a_configuration_at_a_time(
    application: Log,
    reading: Connection,
    admin: Admin,
    tenant_id: UUID,
    webhook_id: UUID,
) -> None:
    # given: when the webhook was configured anew
    stream = subscription.stream(webhook_id)
    log = log_of(admin, tenant_id)
    changed = next(e for e in log if (e.stream, e.version) == (stream, 2))

    async def name_at(moment: datetime) -> str:
        position = await views.position_as_of(reading, tenant_id, moment, len(log))
        version = await views.version_as_of(reading, tenant_id, stream, position)
        name = subscription.originator_id(tenant_id, webhook_id)
        found = application.load_as_of(Subscription, name, version=version)
        return str(found.settings["name"])

    # then
    assert await name_at(changed.recorded_at - INSTANT) == "first"
    assert await name_at(changed.recorded_at) == "second"


async def test_a_list_of_events_at_a_time(
    reading: Connection, admin: Admin, tenant_id: UUID, webhook_id: UUID
) -> None:
    log = log_of(admin, tenant_id)
    moment = log[3].recorded_at
    position = await views.position_as_of(reading, tenant_id, moment, len(log))
    selection = Selection(0, position + 1, streams=["site/7"])
    found = await views.events(reading, tenant_id, selection, limit=50, backwards=False)
    assert [event.version for event in found] == [1, 2, 3]
    assert all(event.recorded_at <= moment for event in found)


async def test_another_tenants_past_is_not_there(
    reading: Connection, admin: Admin, webhook_id: UUID, appender: Appender
) -> None:
    other = ids.new()
    await appender.append(Request([an_entry(other)]))
    assert await views.version_as_of(reading, other, "site/7", 99) == 0
    assert await views.position_as_of(reading, other, FAR_OFF, 99) == 0
