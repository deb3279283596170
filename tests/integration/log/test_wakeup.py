"""Wake-ups: heard when the log grows, and again after whatever was missed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projections.log.appender import Appender
from projections.log.request_queue import Request
from projections.log.wakeup import Notifier, listen
from tests.support.builders import an_entry
from tests.support.waiting import soon

BOTH = ["daybook_log", "daybook_work"]


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[list[str]]:
    """What a listener hears, in order; it listens already."""
    channels: list[str] = []
    task = asyncio.create_task(listen(database_url, "daybook_worker", channels.append))
    await soon(lambda: channels == BOTH)
    channels.clear()
    yield channels
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def notifier(database_url: str) -> Iterator[Notifier]:
    running = Notifier(database_url, "daybook_app")
    running.start()
    yield running
    running.close()


def kill(admin: psycopg.Connection[Any], name: str) -> None:
    """End the connections that are called so."""
    admin.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where application_name = %s and datname = current_database()",
        [f"daybook {name}"],
    )


async def test_an_append_is_heard(
    heard: list[str], appender: Appender, tenant_id: UUID
) -> None:
    await appender.append(Request([an_entry(tenant_id)]))
    await soon(lambda: "daybook_log" in heard)


async def test_after_a_lost_connection_a_listener_looks_at_everything(
    heard: list[str], admin: psycopg.Connection[Any]
) -> None:
    kill(admin, "listener")
    await soon(lambda: heard == BOTH)


async def test_a_notifier_goes_on_after_a_lost_connection(
    heard: list[str], notifier: Notifier, admin: psycopg.Connection[Any]
) -> None:
    # given: it has a connection, and loses it
    notifier.notify()
    await soon(lambda: heard)
    kill(admin, "notifier")
    heard.clear()

    # then: the hint that finds it lost may be lost; not those after it
    def hears() -> bool:
        notifier.notify()
        return bool(heard)

    await soon(hears)


async def test_a_notifier_connects_when_there_is_something_to_say(
    notifier: Notifier, admin: psycopg.Connection[Any], heard: list[str]
) -> None:
    names = "select from pg_stat_activity where application_name = 'daybook notifier'"
    names += " and datname = current_database()"
    assert admin.execute(names).rowcount == 0
    notifier.notify()
    await soon(lambda: heard)
    assert admin.execute(names).rowcount == 1
