"""The log, seen by somebody who sees everything, and held still when a test needs it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support import postgres

LOCK = 4919131752989213764  # the log's, see log_append

HoldLog = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees everything."""
    with postgres.connect(database_url) as connection:
        connection.row_factory = namedtuple_row
        yield connection


@pytest.fixture
def hold_log(database_url: str) -> HoldLog:
    """While held, whoever appends waits."""

    @contextmanager
    def hold() -> Iterator[None]:
        with postgres.connect(database_url) as holder:
            holder.execute("select pg_advisory_lock(%s)", [LOCK])
            yield

    return hold
