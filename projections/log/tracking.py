"""The library's tracking: how far its own readers have come, one mark for each of them.

Daybook's projections have checkpoints instead. This is for applications and projections
that are run by the `eventsourcing` library, in the role that may read the whole log.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from eventsourcing.persistence import IntegrityError, Tracking, TrackingRecorder

from domain.log.entry import Statement
from projections.log.pool import Pool, rows
from projections.sql import Queries

QUERIES = Queries("projections.log", "tracking.sql")


class LogTracking(TrackingRecorder):
    """The marks of one reader; `name` is the reader's."""

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool = pool
        self._name = name

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move the mark forward; raises IntegrityError where it has been before."""
        with conflicts():
            rows(self._pool, *self.moving(tracking))

    def max_tracking_id(self, application_name: str) -> int | None:
        """The mark within that application's notifications; None at the beginning."""
        params = {"name": self._name, "application_name": application_name}
        found = rows(self._pool, QUERIES["tracked"], params)
        return found[0].notification_id if found else None

    def moving(self, tracking: Tracking) -> Statement:
        """The move as a rider, for an append that is to happen with it or not at all."""
        params = {
            "name": self._name,
            "application_name": tracking.application_name,
            "notification_id": tracking.notification_id,
        }
        return Statement(QUERIES["track"], params)


@contextmanager
def conflicts() -> Iterator[None]:
    """A mark that may not be moved, as the library's readers expect to hear of it."""
    try:
        yield
    except psycopg.DatabaseError as error:
        if error.diag.message_primary != "tracked_already":
            raise
        raise IntegrityError("this notification has been processed") from error
