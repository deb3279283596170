"""A server to share between tests, and folders for those that need their own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from workers import embedded
from workers.embedded import Lease


@pytest.fixture(scope="session")
def modes() -> dict[Path, int]:
    """The permissions that are not ours, before the first server is made."""
    paths = {*Path(sys.prefix).parents, *Path.home().parents, Path.home()}
    return {path: path.stat().st_mode for path in paths}


@pytest.fixture(scope="session")
def lasting(
    tmp_path_factory: pytest.TempPathFactory, modes: dict[Path, int]
) -> Iterator[Lease]:
    """A server that tests may kill, but not remove: making one takes a second."""
    place = tmp_path_factory.mktemp("lasting")
    with embedded.lease(place) as held:
        yield held
    embedded.remove(place)


@pytest.fixture
def database(lasting: Lease) -> Lease:
    with psycopg.connect(lasting.revive()) as connection:
        connection.execute("drop table if exists kept")
        connection.execute("create table kept (number int primary key)")
    return lasting


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For a server of the test's own."""
    place = tmp_path / "postgres"
    yield place
    embedded.remove(place)
