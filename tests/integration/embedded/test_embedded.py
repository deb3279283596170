"""Embedded Postgres: shared by all, gone with the last, back after any `kill -9`."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.integration.embedded.support import (
    Writer,
    address,
    end,
    found,
    is_running,
    server,
    until,
    user,
)
from workers.embedded import Lease


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
