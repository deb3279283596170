"""Events a second that each of 500 clients of an event stream sees; what a client costs.

One API process, to which events are published in batches, one after the other, while all
listen. A rate counts from the first batch to the moment when the last client has seen the
last event. The bare stream (`benchmarks/rig/bare_stream.py`) writes as many of the same
events to as many clients, from the same server, and does nothing else.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from benchmarks import measure
from benchmarks.publish import free_port, running
from benchmarks.rig import stage, usage
from benchmarks.rig.listeners import listening
from tests.support.processes import Product, product

CLIENTS = 500
EVENTS, BATCH = 2000, 20
EVENT = {"type": "bench.listened", "data": {"x": "x" * 191}}
SSE, BATCHES = "/api/v1/events/sse", "/api/v1/events/batch"
# One key opens all streams, run after run.
SETTINGS = {"DAYBOOK_LIMIT_DEFAULT": "1000000", "DAYBOOK_LOG_FORMAT": "none"}


class Ours:
    """An API process with a tenant."""

    def __init__(self, made: Product, clients: int, events: int) -> None:
        self._clients, self._events = clients, events
        self._pid = stage.pid(made.serve())
        self._url = made.api_url
        self._port = int(made.api_url.rpartition(":")[2])
        _, self._key = made.tenant()
        self.kib_per_client = 0.0

    def rate(self) -> float:
        """Events a second, each client."""
        return uvloop.run(self._rate())

    async def _rate(self) -> float:
        headers = {"Authorization": f"Bearer {self._key}"}
        before = usage.resident_kib(self._pid)
        async with (
            aiohttp.ClientSession(self._url, headers=headers) as session,
            listening(
                self._port, SSE, self._key, self._clients, self._events
            ) as listeners,
        ):
            grown = usage.resident_kib(self._pid) - before
            # Later runs find the memory that earlier ones have left.
            self.kib_per_client = max(self.kib_per_client, grown / self._clients)
            begun = time.monotonic()
            for _ in range(self._events // BATCH):
                await self._publish(session)
            await asyncio.gather(*(listener.done for listener in listeners))
            elapsed = time.monotonic() - begun
        return self._events / elapsed

    async def _publish(self, session: aiohttp.ClientSession) -> None:
        async with session.post(BATCHES, json={"events": [EVENT] * BATCH}) as response:
            if response.status != 202:
                raise RuntimeError(await response.text())

    def sample(self) -> bytes:
        """An event as the stream shows it."""
        return uvloop.run(self._sample())

    async def _sample(self) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession(self._url, headers=headers) as session:
            await self._publish(session)
            async with session.get(SSE, params={"after": 0}) as response:
                async for line in response.content:
                    if line.startswith(b"data: "):
                        return b"id: 1000\n" + line + b"\n"
        raise RuntimeError("there is no event")


class Bare:
    """The bare stream, and how it is told to begin."""

    def __init__(self, port: int, frame: bytes, clients: int, events: int) -> None:
        self._port, self._chunk = port, frame * BATCH
        self._clients, self._events = clients, events

    def rate(self) -> float:
        """Events a second, each client."""
        return uvloop.run(self._rate())

    async def _rate(self) -> float:
        url = f"http://127.0.0.1:{self._port}/?times={self._events // BATCH}"
        async with (
            aiohttp.ClientSession() as session,
            listening(
                self._port, "/", "none", self._clients, self._events
            ) as listeners,
        ):
            begun = time.monotonic()
            async with session.post(url, data=self._chunk) as response:
                await response.read()
            await asyncio.gather(*(listener.done for listener in listeners))
            elapsed = time.monotonic() - begun
        return self._events / elapsed


@contextmanager
def bare() -> Iterator[int]:
    """The bare stream's process; its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.rig.bare_stream", str(port)]
    with running(command, dict(os.environ)):
        stage.until(lambda: _listens(port), 30)
        yield port


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="that it runs, no figure")
    is_quick = parser.parse_args().quick
    clients, events = (20, 200) if is_quick else (CLIENTS, EVENTS)
    with (
        measure.database() as url,
        tempfile.TemporaryDirectory(prefix="daybook-bench-") as folder,
        product(url, Path(folder), SETTINGS) as made,
        bare() as port,
    ):
        ours = Ours(made, clients, events)
        frame = ours.sample()
        baseline = Bare(port, frame, clients, events)
        value, other = measure.interleaved(ours.rate, baseline.rate)
    params: dict[str, Any] = {
        "clients": clients,
        "events": events,
        "batch": BATCH,
        "bytes": len(frame),
        "kib_per_client": round(ours.kib_per_client, 1),
    }
    measure.figure(
        "streams", "sse_500_clients", value, "events/s", "bare stream", other, params
    )


if __name__ == "__main__":
    main()
