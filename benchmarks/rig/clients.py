"""Clients to compare with, and to publish by; each runs in a process of its own.

`python -m benchmarks.rig.clients bare|raw|pace` reads its task from standard input, as
JSON, and prints what came of it. All times are of the machine's monotonic clock.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
import uvloop
from yarl import URL

STAMP = "@STAMP@"  # in a body: replaced by the moment it leaves


class Task(NamedTuple):
    """What to send where."""

    url: str
    headers: dict[str, str]
    body: str
    connections: int = 64
    requests: int = 0
    rate: float = 0  # a second, for `pace`
    seconds: float = 0
    is_even: bool = False  # at even steps rather than at random


def session(connections: int) -> aiohttp.ClientSession:
    """As workers/webhooks/aiohttp_sender.py makes it, without the guard."""
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=4.0)
    return aiohttp.ClientSession(
        connector=connector,
        skip_auto_headers=("User-Agent", "Content-Type"),
        timeout=aiohttp.ClientTimeout(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


async def bare(task: Task) -> dict[str, float]:
    """Requests one after another on each connection, as fast as they are answered."""
    body, url = task.body.encode(), URL(task.url, encoded=True)
    turns = iter(range(task.requests))

    async def post_in_turn(client: aiohttp.ClientSession) -> None:
        for _ in turns:
            async with client.post(
                url, data=body, headers=task.headers, allow_redirects=False
            ) as response:
                await response.read()
                assert response.status == 204, response.status

    async with session(task.connections) as client:
        return await timed(task, lambda: post_in_turn(client))


async def raw(task: Task) -> dict[str, float]:
    """The same without a client library: what the receiver alone can take."""
    request = written(task)
    left = task.requests

    class Loader(asyncio.Protocol):
        def __init__(self) -> None:
            self.done = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self._send()

        def data_received(self, data: bytes) -> None:
            assert data.startswith(b"HTTP/1.1 204"), data
            self._send()

        def _send(self) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                self.transport.write(request)
            else:
                self.transport.close()
                self.done.set_result(None)

    async def load() -> None:
        url = URL(task.url)
        loop = asyncio.get_running_loop()
        place = str(url.host), int(url.port or 80)
        _, loader = await loop.create_connection(Loader, *place)
        await loader.done

    return await timed(task, load)


def written(task: Task) -> bytes:
    """The request as it goes over the wire."""
    url, body = URL(task.url), task.body.encode()
    head = [f"POST {url.path} HTTP/1.1", f"Host: {url.host}:{url.port}"]
    head += [f"{name}: {value}" for name, value in task.headers.items()]
    head += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


async def timed(task: Task, one: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Run one for each connection."""
    begun, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one() for _ in range(task.connections)))
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    return {"rate": task.requests / seconds, "cpu_us": cpu / task.requests * 1e6}


async def pace(task: Task) -> dict[str, Any]:
    """An open loop: requests leave when their time has come, whatever the answers do."""
    answered: list[float] = []
    failed = 0

    async def post(client: aiohttp.ClientSession) -> None:
        nonlocal failed
        begun = time.monotonic_ns()
        body = task.body.replace(STAMP, str(begun)).encode()
        async with client.post(task.url, data=body, headers=task.headers) as response:
            await response.read()
            failed += response.status >= 300
        answered.append((time.monotonic_ns() - begun) / 1e6)

    async with session(task.connections) as client:
        late = await on_time(task, lambda: post(client))
    return {"answered_ms": answered, "failed": failed, "late_ms": late}


async def on_time(task: Task, one: Callable[[], Awaitable[None]]) -> float:
    """Begin each at its moment; how late the latest began, in ms."""
    random_ = random.Random(7)
    running: set[asyncio.Task[Any]] = set()
    latest = 0.0
    begun = due = time.monotonic()
    while (due := due + gap(task, random_)) < begun + task.seconds:
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        latest = max(latest, time.monotonic() - due)
        started = asyncio.ensure_future(one())
        running.add(started)
        started.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return latest * 1e3


def gap(task: Task, random_: random.Random) -> float:
    """Seconds to the next: at random, as independent publishers would come."""
    return 1 / task.rate if task.is_even else random_.expovariate(task.rate)


def main() -> None:
    """The command."""
    task = Task(**json.loads(sys.stdin.read()))
    client = {"bare": bare, "raw": raw, "pace": pace}[sys.argv[1]]
    print(json.dumps(uvloop.run(client(task))))


if __name__ == "__main__":
    main()
