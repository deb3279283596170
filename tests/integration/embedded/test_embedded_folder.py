"""Embedded Postgres: its folder, what is kept there, who gets in, which binaries run."""

import os
import shutil
import signal
import socket
from pathlib import Path

import psycopg
import pytest

from tests.integration.embedded.support import (
    data_of,
    found,
    is_running,
    server,
    show,
    until,
    wipe,
)
from workers import embedded
from workers.embedded import EmbeddedUnavailable, Lease

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about what root must do")


def test_a_taken_port_is_given_up(folder: Path) -> None:
    with embedded.lease(folder):
        first = server(folder)
    until(lambda: not is_running(first["supervisor"]))
    with socket.create_server(("127.0.0.1", first["port"])), embedded.lease(folder):
        assert server(folder)["port"] != first["port"]


def test_only_the_owner_with_the_password_gets_in(database: Lease) -> None:
    paths = list(database.folder.iterdir())
    assert [path.name for path in paths if path.stat().st_mode & 0o077] == []
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.url, password="wrong")
    with psycopg.connect(database.url) as connection:
        assert show(connection, "listen_addresses") == "127.0.0.1"
        assert show(connection, "unix_socket_directories") == ""
        assert show(connection, "fsync") == "on"


def test_no_permission_elsewhere_changes(
    database: Lease, modes: dict[Path, int]
) -> None:
    assert {path: path.stat().st_mode for path in modes} == modes


def test_a_folder_made_again_starts_empty(folder: Path) -> None:
    with embedded.lease(folder) as held:
        old = server(folder)
        wipe(folder)
        until(lambda: not is_running(old["pid"]))  # it has lost its folder
        assert held.revive() != old["url"]
        assert data_of(held).exists()


def test_remove_stops_the_server_and_leaves_what_others_put_there(folder: Path) -> None:
    with embedded.lease(folder) as held:
        pid, data = server(folder)["pid"], data_of(held)
        (folder / "notes").touch()
        embedded.remove(folder)
        assert not is_running(pid)
    assert not data.exists()
    assert [path.name for path in folder.iterdir()] == ["notes"]


@as_root
def test_data_whose_folder_is_gone_is_removed_at_the_next_start(
    database: Lease, folder: Path
) -> None:
    with embedded.lease(folder) as held:
        data, pid = data_of(held), server(folder)["pid"]
        wipe(folder)
        until(lambda: not is_running(pid))
    supervisor = server(database.folder)["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not is_running(supervisor))
    database.revive()
    assert not data.parent.exists()


@as_root
def test_a_copied_folder_gets_data_of_its_own(database: Lease, folder: Path) -> None:
    shutil.copytree(database.folder, folder)
    with embedded.lease(folder) as held:
        assert data_of(held) != data_of(database)
    assert found(database.url) == set()


def test_the_error_names_the_remedies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYBOOK_POSTGRES_BIN", str(folder))
    with pytest.raises(EmbeddedUnavailable) as refused:
        embedded.lease(folder)
    for remedy in ("pip install", "apt-get install", "DAYBOOK_DATABASE_URL"):
        assert remedy in str(refused.value)


@pytest.mark.skipif(not DEBIAN, reason="no system packages of Postgres")
def test_system_packages_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_POSTGRES_BIN", str(DEBIAN[-1]))
    with embedded.lease(folder) as held, psycopg.connect(held.url) as connection:
        assert show(connection, "server_encoding") == "UTF8"
        assert server(folder)["bin"] == str(DEBIAN[-1])
