"""Where a benchmark of deliveries plays: receiver, prepared database, product's processes.

A database is prepared once, through the product's own doors, and each run gets a fresh copy
of it: so every run begins with the same rows in the same pages.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import uvloop
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.rig.clients import Task
from projections import registry
from projections.runner import Runner
from projections.webhooks.handoff import Handoff
from tests.support.processes import Process, Product, expect, product

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0  # seconds that anything may take
AT_ONCE = 1000
# The product's own lease; what else is said here is said of each run.
SETTINGS = {"DAYBOOK_LEASE_SECONDS": "10"}


class Receiver:
    """The receiver's process, and questions to it."""

    def __init__(self, port: int, pid: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pid = pid
        self._client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def ask(self, question: str) -> Any:
        """Its answer; see the receiver."""
        return self._client.get(f"/{question}").json()

    def count(self) -> int:
        """How many requests have come."""
        return int(self.ask("report")["count"])

    def close(self) -> None:
        """Ask no more."""
        self._client.close()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver in a process of its own."""
    process = start("receiver")
    assert process.stdout is not None
    receiver = Receiver(int(process.stdout.readline()), process.pid)
    try:
        yield receiver
    finally:
        receiver.close()
        process.kill()
        process.communicate()


def start(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A program of the rig, with pipes to it."""
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.rig.{module}", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def client(kind: str, task: Task) -> Iterator[Callable[[], Any]]:
    """A client at work; the function waits for its end and tells what came of it."""
    process = start("clients", kind)
    assert process.stdin is not None
    process.stdin.write(json.dumps(task._asdict()))
    process.stdin.close()
    process.stdin = None

    def outcome() -> Any:
        output, _ = process.communicate(timeout=PATIENCE)
        if process.returncode:
            raise RuntimeError(f"the client ended with {process.returncode}")
        return json.loads(output)

    try:
        yield outcome
    finally:
        process.kill()
        process.communicate()


def run_client(kind: str, task: Task) -> Any:
    """Start a client, and wait for what comes of it."""
    with client(kind, task) as outcome:
        return outcome()


def sample(receiver: Receiver, path: str, connections: int) -> Task:
    """The first delivery that came since the last reset, as a request to a path."""
    head, _, body = receiver.ask("report")["sample"].partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    for clients_own in ("Host", "Content-Length"):
        headers.pop(clients_own, None)
    return Task(f"{receiver.url}{path}", headers, body, connections)


class Tenant(NamedTuple):
    """A tenant, and how to speak for it."""

    id: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """What its requests carry."""
        return {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
        }


@contextmanager
def serving(url: str) -> Iterator[Product]:
    """An API process on a database."""
    with _product(url, {}) as made:
        made.serve()
        yield made


@contextmanager
def working(url: str, workers: int, **settings: str) -> Iterator[list[int]]:
    """Worker processes on a database, by their pids; stopped properly at the end."""
    with _product(url, settings) as made:
        processes = [made.work() for _ in range(workers)]
        yield [pid(process) for process in processes]
        for process in processes:
            process.stop()


@contextmanager
def _product(url: str, settings: Mapping[str, str]) -> Iterator[Product]:
    with (
        tempfile.TemporaryDirectory(prefix="daybook-bench-") as folder,
        product(url, Path(folder), {**SETTINGS, **settings}) as made,
    ):
        yield made


def pid(process: Process) -> int:
    """Of a process that was started."""
    assert process.running is not None
    return process.running.pid


def a_tenant(made: Product, webhooks: list[dict[str, Any]]) -> Tenant:
    """A tenant with these webhooks."""
    tenant = Tenant(*made.tenant())
    with made.client(tenant.key) as http:
        for webhook in webhooks:
            expect(http.post("/api/v1/webhooks", json=webhook), 201)
    return tenant


def publish(made: Product, tenant: Tenant, events: list[dict[str, Any]]) -> None:
    """Events, in batches."""
    with made.client(tenant.key) as http:
        for begin in range(0, len(events), AT_ONCE):
            body = {"events": events[begin : begin + AT_ONCE]}
            expect(http.post("/api/v1/events/batch", json=body), 202)


def hand_off(url: str) -> int:
    """Post what was published, as a worker would, without one; how much is owed."""
    uvloop.run(_catch_up(url))
    with connect(url) as connection:
        connection.execute("vacuum analyze")
        return owed(connection)


async def _catch_up(url: str) -> None:
    for each in (Handoff(lambda webhooks: None), *registry.REBUILDABLE):
        runner = Runner(url, each)
        while await runner.step():
            pass


def owed(connection: psycopg.Connection[Any]) -> int:
    """How many deliveries are not finished."""
    return scalar(connection, "select count(*) from daybook.owed")


def owners(connection: psycopg.Connection[Any]) -> int:
    """How many workers own a lane."""
    return scalar(connection, "select count(distinct owner) from daybook.lanes")


def users(connection: psycopg.Connection[Any], url: str) -> int:
    """How many connections there are to a database."""
    name = conninfo_to_dict(url)["dbname"]
    query = "select count(*) from pg_stat_activity where datname = %s"
    row = connection.execute(query, (name,)).fetchone()
    return int(row[0]) if row else 0


def connect(url: str, **others: str) -> psycopg.Connection[Any]:
    """A connection that watches, as the login itself."""
    return psycopg.connect(make_conninfo(url, **others), autocommit=True)


def scalar(connection: psycopg.Connection[Any], query: str) -> int:
    """The one number of a statement."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0] or 0)


@contextmanager
def copy(url: str, purpose: str = "run") -> Iterator[str]:
    """A copy of a database that nobody uses, dropped at the end."""
    name = conninfo_to_dict(url)["dbname"]
    twin = f"{name}_{purpose}"
    with connect(url, dbname="postgres") as admin:
        # By copying files: what was written before is no part of the run's WAL.
        made = f"create database {twin} template {name} strategy file_copy"
        admin.execute(made.encode())
        try:
            yield make_conninfo(url, dbname=twin)
        finally:
            admin.execute(f"drop database {twin} with (force)".encode())


def until(holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `holds` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.02)
    return found
