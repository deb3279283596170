"""The product as processes of its own, to be killed: `daybook serve`, `daybook work`."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from migrations.runner import migrate
from tests.support import plain_http
from tests.support.builders import SECRET_KEYS
from workers import embedded

DAYBOOK = Path(sys.executable).parent / "daybook"
OPERATOR_KEY = "dbo_" + "0" * 64
START_SECONDS = 30.0


@dataclass
class Process:
    """One command of the product; started again after each kill."""

    arguments: list[str]
    environ: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; output goes to a file, for when a test fails."""
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                [DAYBOOK, *self.arguments],
                env=self.environ,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.running is None:
            return 0
        self.running.terminate()
        return self.running.wait(timeout=30)


class Cluster:
    """A Postgres of this test's own, that may be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lease = embedded.lease(folder)
        with psycopg.connect(self._lease.url, autocommit=True) as connection:
            connection.execute("create database daybook")
        self.url = make_conninfo(self._lease.url, dbname="daybook")
        migrate(self.url)

    def kill(self) -> None:
        """SIGKILL the postmaster; its supervisor starts another on the same port."""
        info = json.loads((self._folder / "server.json").read_text())
        os.kill(info["pid"], signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_another(info["pid"]):
            assert time.monotonic() < deadline, "Postgres did not come back"
            time.sleep(0.02)

    def _is_another(self, pid: int) -> bool:
        try:
            now = json.loads((self._folder / "server.json").read_text())["pid"]
            with psycopg.connect(self.url, connect_timeout=2):
                return bool(now != pid)
        except (OSError, ValueError, KeyError, psycopg.OperationalError):
            return False

    def remove(self) -> None:
        """Stop it and delete its data."""
        self._lease.release()
        embedded.remove(self._folder)


@dataclass
class Product:
    """Processes around one database; `settings` are variables besides the usual ones."""

    database_url: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self._port = sock.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{self._port}"

    def serve(self) -> Process:
        """An API process, ready."""
        process = self._process("serve", ["serve", "--port", str(self._port)])
        self.wait_until_ready()
        return process

    def work(self) -> Process:
        """A worker process."""
        return self._process("work", ["work"])

    def wait_until_ready(self) -> None:
        """Until `/health/ready` answers 200."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def operator(self) -> httpx.Client:
        """A client with the operator key."""
        return self.client(OPERATOR_KEY)

    def client(self, key: str) -> httpx.Client:
        """A client with this key."""
        return plain_http.client(self.api_url, key)

    def tenant(self, scopes: list[str] | None = None) -> tuple[str, str]:
        """A fresh tenant and a key of it."""
        with self.operator() as client:
            tenant = expect(client.post("/api/v1/tenants", json={"name": "test"}), 201)
            body = {"name": "k", "tenant_id": tenant["id"], "scopes": scopes or ALL}
            key = expect(client.post("/api/v1/keys", json=body), 201)
        return tenant["id"], key["key"]

    def logs(self) -> str:
        """What the processes printed."""
        return "\n".join(process.log.read_text()[-4000:] for process in self.processes)

    def _is_ready(self) -> bool:
        try:
            return plain_http.get(f"{self.api_url}/health/ready").is_success
        except httpx.TransportError:
            return False

    def _process(self, name: str, arguments: list[str]) -> Process:
        number = len(self.processes)
        environ = os.environ | {
            "DAYBOOK_DATABASE_URL": self.database_url,
            "DAYBOOK_SECRET_KEYS": SECRET_KEYS,
            "DAYBOOK_OPERATOR_KEY": OPERATOR_KEY,
            "DAYBOOK_DEVELOPMENT": "true",
            "DAYBOOK_LEASE_SECONDS": "2",
            **self.settings,
        }
        process = Process(arguments, environ, self.folder / f"{number}-{name}.log")
        process.start()
        self.processes.append(process)
        return process


ALL = [
    "events:write",
    "events:read",
    "types:write",
    "webhooks:read",
    "webhooks:write",
    "deliveries:retry",
    "consumers:write",
    "keys:admin",
]


def expect(response: httpx.Response, status: int) -> Any:
    """The JSON of an answer that must have this status."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    return response.json() if response.content else None


@contextmanager
def product(
    database_url: str, folder: Path, settings: dict[str, str] | None = None
) -> Iterator[Product]:
    """Processes around a database; all are gone at the end."""
    made = Product(database_url, folder, settings or {})
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A Postgres of one's own, with its folder."""
    with tempfile.TemporaryDirectory(prefix="daybook-") as folder:
        made = Cluster(Path(folder) / "postgres")
        try:
            yield made
        finally:
            made.remove()
