"""Marks of the library's own readers: each has its own, moved with what it appends."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.utils import Environment

from domain import ids, model
from domain.errors import VersionConflict
from domain.log.entry import Context
from projections.log.recorder import LogFactory, LogProcess, environment

Reader = Callable[[str], LogProcess]


@pytest.fixture
def reader(database_url: str) -> Iterator[Reader]:
    """Makes readers by their names."""
    made: list[LogFactory] = []

    def make(name: str) -> LogProcess:
        values = environment(database_url, "daybook_worker")
        made.append(LogFactory(Environment(name, values)))
        recorder = made[-1].process_recorder()
        assert isinstance(recorder, LogProcess)
        return recorder

    yield make
    for factory in made:
        factory.close()


def an_event(version: int, name: str) -> StoredEvent:
    return StoredEvent(name, version, "somebody.said", b"{}")


def streams(admin: psycopg.Connection[Any]) -> list[str]:
    rows = admin.execute("select stream from events order by log_position")
    return [row.stream for row in rows.fetchall()]


def test_readers_do_not_move_each_others_marks(reader: Reader) -> None:
    hours, alerts = reader("hours"), reader("alerts")
    hours.insert_tracking(Tracking("log", 7))
    alerts.insert_tracking(Tracking("log", 5))
    assert hours.max_tracking_id("log") == reader("hours").max_tracking_id("log") == 7
    assert alerts.max_tracking_id("log") == 5


def test_a_mark_moves_with_what_is_appended_or_neither_happens(
    reader: Reader, admin: psycopg.Connection[Any]
) -> None:
    # given
    hours = reader("hours")
    first, second = (model.originator_id(ids.new(), name) for name in ("a", "b"))
    context = Context("user:test")
    hours.insert_events(
        [an_event(1, first)], tracking=Tracking("log", 1), context=context
    )
    assert context.receipts[0].stream == "a"
    # when the stream has moved on
    with pytest.raises(VersionConflict) as conflict:
        hours.insert_events([an_event(1, first)], tracking=Tracking("log", 2))
    # then the mark has not, and the library knows the error by its own name
    assert isinstance(conflict.value, IntegrityError)
    assert hours.max_tracking_id("log") == 1
    # when the mark has moved on
    with pytest.raises(IntegrityError):
        hours.insert_events([an_event(1, second)], tracking=Tracking("log", 1))
    # then nothing was appended
    assert streams(admin) == ["a"]
    hours.insert_events([an_event(1, second)], tracking=Tracking("log", 2))
    assert (streams(admin), hours.max_tracking_id("log")) == (["a", "b"], 2)


def test_marks_are_not_for_tenants_requests(database_url: str) -> None:
    values = environment(database_url, "daybook_app")
    factory = LogFactory(Environment("hours", values))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        factory.tracking_recorder().insert_tracking(Tracking("log", 1))
    factory.close()
