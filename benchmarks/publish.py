"""Publishing over HTTP: single events against a bare endpoint, batches beside COPY.

One API process, as `daybook serve` runs it, and one connection for each caller. The bare
endpoint is `benchmarks/rig/bare.py`, on the same server with the same types.
"""

import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import uvloop

from benchmarks import measure
from benchmarks.rig import load
from domain.tenancy.api_key import SCOPES
from projections.vault import generate_keys
from workers import serve

CALLERS = 64
BATCH_CALLERS = 4
BATCH = 100
SECONDS = 2.0
START_SECONDS = 30.0
EVENT = {"type": "bench.published", "data": {"x": "x" * 191}}
EVENTS = "/api/v1/events"
COPY = "copy copied (event_id, type, data) from stdin"


class Api:
    """An API process on a database, with a tenant and its key."""

    def __init__(self, port: int, operator_key: str) -> None:
        self.port = port
        headers = {"Authorization": f"Bearer {operator_key}"}
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as operator:
            _wait_until_ready(operator)
            tenant = operator.post("/api/v1/tenants", json={"name": "bench"}).json()
            limits = {"publish": 100_000_000}
            operator.patch(
                f"/api/v1/tenants/{tenant['id']}", json={"settings": {"limits": limits}}
            ).raise_for_status()
            body = {"name": "k", "scopes": list(SCOPES), "tenant_id": tenant["id"]}
            self.key = operator.post("/api/v1/keys", json=body).json()["key"]

    def rate(self, path: str, body: Any, callers: int) -> load.Result:
        """Answers to this body, for SECONDS."""
        message = load.request(path, msgspec.json.encode(body), self.key)
        return uvloop.run(load.run(self.port, message, callers, SECONDS))


def _wait_until_ready(operator: httpx.Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if operator.get("/health/ready").is_success:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("the API did not start")
        time.sleep(0.05)


@contextmanager
def api(url: str) -> Iterator[Api]:
    """`daybook serve`, as it comes but for its lines about each request."""
    operator_key, port = secrets.token_hex(16), free_port()
    environ = os.environ | {
        "DAYBOOK_DATABASE_URL": url,
        "DAYBOOK_SECRET_KEYS": generate_keys(),
        "DAYBOOK_OPERATOR_KEY": operator_key,
    }
    command = [str(Path(sys.executable).parent / "daybook"), "serve"]
    with running([*command, "--port", str(port)], environ):
        yield Api(port, operator_key)


@contextmanager
def bare() -> Iterator[int]:
    """The bare endpoint; its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.rig.bare", str(port)]
    with running(command, dict(os.environ)):
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if time.monotonic() > deadline:
                raise RuntimeError("the bare endpoint did not start")
            time.sleep(0.05)
        yield port


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
    except httpx.TransportError:
        return False
    return True


@contextmanager
def running(command: list[str], environ: dict[str, str]) -> Iterator[None]:
    """A process, ended with the block."""
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """One that nobody listens on just now."""
    with serve.listen("127.0.0.1", 0) as sock:
        return int(sock.getsockname()[1])


def single_event(ours: Api, port: int) -> None:
    """One event a request, from 64 callers."""
    message = load.request(EVENTS, msgspec.json.encode(EVENT))
    latencies: list[float] = []

    def publish() -> float:
        result = ours.rate(EVENTS, EVENT, CALLERS)
        latencies.extend(result.latencies)
        return result.count / SECONDS

    def answer() -> float:
        result = uvloop.run(load.run(port, message, CALLERS, SECONDS))
        return result.count / SECONDS

    value, baseline = measure.interleaved(publish, answer)
    p99 = statistics.quantiles(latencies, n=100)[98] * 1e3
    params = {"callers": CALLERS, "bytes": len(msgspec.json.encode(EVENT))}
    params["p99_ms"] = round(p99, 2)
    measure.figure(
        "publish", "single_event", value, "events/s", "bare endpoint", baseline, params
    )


def batch_100(ours: Api, url: str) -> None:
    """A hundred events a request, from 4 callers; COPY of the same bytes beside it."""
    body = {"events": [EVENT] * BATCH}

    def publish() -> float:
        return ours.rate(f"{EVENTS}/batch", body, BATCH_CALLERS).count * BATCH / SECONDS

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table copied (event_id text, type text, data bytea)")
        value, baseline = measure.interleaved(publish, lambda: copy(connection))
    params = {"callers": BATCH_CALLERS, "batch": BATCH}
    measure.figure("publish", "batch_100", value, "events/s", "COPY", baseline, params)


def copy(connection: psycopg.Connection[Any]) -> float:
    """Events a second, a hundred in each durable transaction, into a table without keys."""
    data = msgspec.json.encode(EVENT["data"])
    count, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        with connection.cursor().copy(COPY) as rows:
            for number in range(BATCH):
                rows.write_row((f"evt_{count + number:026}", EVENT["type"], data))
        count += BATCH
    return count / SECONDS


def main() -> None:
    """The command."""
    with measure.database() as url, api(url) as ours, bare() as port:
        single_event(ours, port)
        batch_100(ours, url)


if __name__ == "__main__":
    main()
