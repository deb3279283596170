"""What every tier may ask for: a database of its own, a tenant, the appender, the log.

The server is the embedded one, or DAYBOOK_TEST_DATABASE_URL (a login that may make roles
and databases). Nothing is started for tests that do not ask.
"""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from domain import ids
from domain.application import Log
from projections.log.appender import Appender
from projections.log.recorder import environment
from tests.support import postgres
from workers.embedded import lease

# A suite that runs in the background of a script has SIGINT ignored, and what it starts
# inherits that: Ctrl-C could not be tested.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

FOLDER = Path(__file__).parents[1] / ".daybook-tests"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server, as a login that may make roles and databases."""
    if url := os.environ.get("DAYBOOK_TEST_DATABASE_URL"):
        yield url
        return
    with lease(FOLDER) as held:
        yield held.url


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """The name of a migrated database to copy."""
    return postgres.template(server_url)


@pytest.fixture
def database_url(server_url: str, template: str) -> Iterator[str]:
    """A migrated database for this test alone."""
    with postgres.database(server_url, template) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database in which no migration has run."""
    with postgres.database(server_url) as url:
        yield url


@pytest.fixture
def tenant_id() -> UUID:
    """A tenant that has no event yet."""
    return ids.new()


@pytest.fixture
def appender(database_url: str) -> Iterator[Appender]:
    """The appender of a process that serves tenants."""
    running = Appender(database_url, "daybook_app")
    running.start()
    yield running
    running.close()


@pytest.fixture
def application(database_url: str) -> Iterator[Log]:
    """Aggregates on the test's database. Blocking: for tests without an event loop."""
    log = Log(environment(database_url, "daybook_app"))
    yield log
    log.close()
