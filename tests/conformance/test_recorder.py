"""The `eventsourcing` library's own suites, on the recorders of the log.

Every case of them runs, none is left out. Two things they take for granted are otherwise
here, and are given to them at the places that the suites have for it:

* Streams are named by UUIDs. Ours are named by a tenant and a text, so `new_originator_id`
  makes such names: each stream in a tenant of its own, which the log keeps apart.
* Some cases count a stream's versions from 0 (both cases of concurrent writers, the one of
  interleaving, the performance of the process recorder). The log counts from 1, as the
  library's aggregates do: `FromZero` adds one to what begins at 0. No case reads those
  versions back.

Not among the suites: AggregateRecorderTestCase is for recorders that number no
notifications. It wants `insert_events` to answer None, and it ends with a version 0 that
must be read back; what else it asks stands in ApplicationRecorderTestCase.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import Environment

from domain import ids, model
from projections.log.recorder import (
    LogFactory,
    LogProcess,
    LogRecorder,
    environment,
)
from projections.log.tracking import LogTracking
from tests.support.suites import persistence as suites


class FromZero(LogRecorder):
    """Takes streams that are counted from 0, and counts them from 1."""

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """The same, one version up when the first one is 0."""
        if stored_events and stored_events[0].originator_version == 0:
            stored_events = [
                replace(event, originator_version=event.originator_version + 1)
                for event in stored_events
            ]
        return super().insert_events(stored_events, **kwargs)


class ProcessFromZero(FromZero, LogProcess):
    """The same with tracking."""


class OtherTracking(LogTracking):
    """Somebody's own tracking recorder."""


class Named:
    """Streams are called as in the log."""

    def new_originator_id(self) -> str:
        return model.originator_id(ids.new(), "crane/7")


class OnTheLog(Named):
    """A fresh log in the role that may read it whole."""

    @pytest.fixture(autouse=True)
    def log(self, database_url: str) -> Iterator[None]:
        env = Environment("reader", environment(database_url, "daybook_worker"))
        self.factory = LogFactory(env)
        yield
        self.factory.close()


class TestApplicationRecorder(OnTheLog, suites.ApplicationRecorderTestCase):
    def create_recorder(self) -> LogRecorder:
        return FromZero(self.factory._pool, self.factory.appender)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleaving(OnTheLog, suites.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> LogRecorder:
        return FromZero(self.factory._pool, self.factory.appender)


class TestTrackingRecorder(OnTheLog, suites.TrackingRecorderTestCase):
    def create_recorder(self) -> LogTracking:
        return self.factory.tracking_recorder()


class TestProcessRecorder(OnTheLog, suites.ProcessRecorderTestCase):
    def create_recorder(self) -> LogProcess:
        return ProcessFromZero(self.factory._pool, self.factory.appender, "reader")


class TestFactory(suites.InfrastructureFactoryTestCase):
    @pytest.fixture(autouse=True)
    def environment(self, database_url: str) -> None:
        values = environment(database_url, "daybook_worker")
        self.env = Environment("reader", values)

    def expected_factory_class(self) -> type[LogFactory]:
        return LogFactory

    def expected_aggregate_recorder_class(self) -> type[LogRecorder]:
        return LogRecorder

    def expected_application_recorder_class(self) -> type[LogRecorder]:
        return LogRecorder

    def expected_tracking_recorder_class(self) -> type[LogTracking]:
        return LogTracking

    def tracking_recorder_subclass(self) -> type[LogTracking]:
        return OtherTracking

    def expected_process_recorder_class(self) -> type[LogProcess]:
        return LogProcess
