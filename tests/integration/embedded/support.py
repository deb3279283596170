"""Users of an embedded server, a writer that never gives up, and what can be seen."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psycopg

from workers.embedded import Lease

ROOT = Path(__file__).parents[3]

USER = """
import sys
from pathlib import Path
from workers.embedded import lease
print(lease(Path(sys.argv[1])).url, flush=True)
sys.stdin.read()
"""


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


def wipe(folder: Path) -> None:
    """Remove the folder under a running server, which still makes files in it."""

    def is_gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    until(is_gone)


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
