"""The seam between catching up and being live, sewn up and torn again at random.

Clients of every kind join at random places while events are published, are cut off at
random, and come back with the last place they saw. Each must see every event it wants once
and in order. `run` does it against running APIs; a failure names the client and its seed.
"""

import asyncio
import json
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.listening import messages, sse, websocket

# What is published, and the filters that clients have; the last event passes all of them.
TYPES, STREAMS, SUBJECTS = ("a.x", "a.y", "b.z"), ("s/1", "s/2", "t"), (None, "w/1")
END = {"type": "a.end", "stream": "s/1", "subject": "w/1", "data": {}}
FILTERS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"type": "a.*"},
    {"stream": "s/1"},
    {"subject": "w/1"},
    {"type": "a.*", "stream": "s/*"},
)
PAUSE_SECONDS = 0.01  # between two batches, so that some of them meet idle listeners


@dataclass
class Published:
    """What is in the log, as its publisher was told, and how much there is to come."""

    total: int
    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def reaches(self, count: int) -> None:
        """Until so many are published."""
        async with self.grown:
            await self.grown.wait_for(lambda: len(self.events) >= count)

    def expected(self, after: int, wanted: dict[str, str]) -> list[int]:
        """The positions that a client with this filter must see after a place."""
        return [
            position
            for position, event in self.events
            if position > after and holds(wanted, event)
        ]


def holds(wanted: dict[str, str], event: dict[str, Any]) -> bool:
    """Whether the event is one of those, judged without the product's own patterns."""
    for name, pattern in wanted.items():
        value = event[name] or ""
        if not (
            value.startswith(pattern[:-1])
            if pattern.endswith("*")
            else value == pattern
        ):
            return False
    return True


@dataclass
class Run:
    """One run: where, how many, and how often connections are cut."""

    urls: Sequence[str]
    key: str
    seed: int
    mean: int  # events between two cuts of a client, about
    published: Published
    session: aiohttp.ClientSession
    is_rough: bool = (
        False  # the APIs are killed meanwhile: that they go away is no fault
    )
    cuts: int = 0
    lost: int = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


async def publish(run: Run) -> None:
    """Publish all, in batches of random size, and the last one by itself."""
    rng, published = random.Random(run.seed), run.published
    while len(published.events) < published.total - 1:
        left = published.total - 1 - len(published.events)
        batch = [
            {
                "type": rng.choice(TYPES),
                "stream": rng.choice(STREAMS),
                "subject": rng.choice(SUBJECTS),
                "data": {"n": len(published.events) + n},
            }
            for n in range(min(left, rng.choice([1, 1, 3, 20, 100])))
        ]
        await _publish(run, batch)
        await asyncio.sleep(rng.choice([0, 0, PAUSE_SECONDS]))
    await _publish(run, [END])


async def _publish(run: Run, batch: list[dict[str, Any]]) -> None:
    url = f"{run.urls[0]}/api/v1/events/batch"
    async with run.session.post(
        url, json={"events": batch}, headers=run.headers
    ) as response:
        assert response.status == 202, await response.text()
        receipts = (await response.json())["events"]
    positions = [receipt["position"] for receipt in receipts]
    async with run.published.grown:
        run.published.events += zip(positions, batch, strict=True)
        run.published.grown.notify_all()


class Client:
    """One client, whichever way it listens: what it saw, and where it is."""

    def __init__(self, run: Run, number: int) -> None:
        self.run, self.rng = run, random.Random(run.seed * 10_000 + number)
        self.name = f"{type(self).__name__} {number} of seed {run.seed}"
        self.wanted = self.rng.choice(FILTERS)
        self.place = self.start = 0
        self.seen: list[int] = []
        self.is_done = False

    async def go(self) -> None:
        """Join, follow, be cut, come back, until the last event; then compare."""
        published = self.run.published
        await published.reaches(self.rng.randrange(published.total))
        places = [0] + [position for position, _ in published.events]
        self.place = self.start = self.rng.choice(places)
        if self.start == published.expected(0, {})[-1]:
            return  # all is published already, and it wants none of it
        while not self.is_done:
            budget = int(self.rng.expovariate(1 / self.run.mean)) + 1
            try:
                await self.follow(self.rng.choice(self.run.urls), budget)
                self.run.cuts += not self.is_done
            except (aiohttp.ClientError, ConnectionError):
                if not self.run.is_rough:
                    raise
                self.run.lost += 1
                await asyncio.sleep(0.1)
        await published.reaches(published.total)  # its publisher may hear of it later
        expected = published.expected(self.start, self.wanted)
        assert self.seen == expected, self.difference(expected)

    async def follow(self, url: str, budget: int) -> None:
        """Follow for so many events, then drop the connection."""
        raise NotImplementedError

    def see(self, position: int, event: dict[str, Any]) -> None:
        """Write down an event, and notice the last one."""
        assert event["position"] == position
        self.seen.append(position)
        self.place = position
        self.is_done = event["type"] == END["type"]

    def difference(self, expected: list[int]) -> str:
        """What is wrong with what it saw."""
        missed, wrong = set(expected) - set(self.seen), set(self.seen) - set(expected)
        return (
            f"{self.name} from {self.start} with {self.wanted}: saw {len(self.seen)} of "
            f"{len(expected)}, missed {sorted(missed)[:9]}, wrong {sorted(wrong)[:9]}, "
            f"twice {len(self.seen) - len(set(self.seen))}, "
            f"in order: {self.seen == sorted(self.seen)}"
        )


class Sse(Client):
    """Over Server-Sent Events; it comes back as a browser does."""

    is_back = False

    async def follow(self, url: str, budget: int) -> None:
        named = {"last": self.place} if self.is_back else {"after": self.place}
        self.is_back = True
        async with sse(
            url, self.run.key, session=self.run.session, **named, **self.wanted
        ) as response:
            assert response.status == 200, await response.text()
            async for message in messages(response):
                if message.data is not None:
                    self.see(int(message.id), message.event)
                    budget -= 1
                elif message.id:
                    self.place = max(self.place, int(message.id))
                if self.is_done or not budget:
                    response.close()
                    return
        raise ConnectionError("the stream has ended")


class WebSocket(Client):
    """Over a WebSocket."""

    async def follow(self, url: str, budget: int) -> None:
        start = {"after": self.place} | self.wanted
        async with websocket(
            url, self.run.key, session=self.run.session, **start
        ) as socket:
            while budget and not self.is_done:
                received = await socket.receive(timeout=60)
                if received.type != aiohttp.WSMsgType.TEXT:
                    raise ConnectionError(f"closed with {received.data}")
                message = json.loads(received.data)
                if message["op"] == "event":
                    event = message["event"]
                    self.see(event["position"], event)
                    budget -= 1
                else:
                    assert message["op"] in ("ready", "ping"), message
                    self.place = max(self.place, message["position"])


class Consumer(Client):
    """As a consumer; sometimes it is lost before it has acknowledged."""

    acknowledged = 0
    unsure: Any = None  # a page whose acknowledgement nobody answered

    async def follow(self, url: str, budget: int) -> None:
        path = f"{url}/api/v1/consumers/c{self.run.seed}-{id(self)}"
        self.settle(await self._make(path))
        while budget > 0 and not self.is_done:
            limit = self.rng.choice([1, 10, 100, 500])
            page = await self._call("GET", f"{path}/events?limit={limit}&wait=5")
            budget -= len(page["data"])
            if self.rng.random() < 0.2:
                continue  # lost: the same events come again
            self.unsure, position = page, page["position"]
            self.settle(await self._call("POST", f"{path}/ack", {"position": position}))

    def settle(self, consumer: dict[str, Any]) -> None:
        """What was acknowledged stays so; of the last page it is known by now."""
        assert consumer["position"] >= self.acknowledged, self.name
        page, self.unsure = self.unsure, None
        if page is not None and consumer["position"] >= page["position"]:
            self.acknowledged = page["position"]
            for event in page["data"]:
                self.see(event["position"], event)

    async def _make(self, path: str) -> Any:
        body: dict[str, Any] = {}
        if "type" in self.wanted:
            body["event_types"] = [self.wanted["type"]]
        if "stream" in self.wanted:
            body["streams"] = [self.wanted["stream"]]
        if "subject" in self.wanted:
            body["filter"] = {"subject": self.wanted["subject"]}
        body["start"] = {"position": self.start + 1}
        return await self._call("PUT", path, body)

    async def _call(self, method: str, url: str, body: Any = None) -> Any:
        async with self.run.session.request(
            method, url, json=body, headers=self.run.headers
        ) as response:
            text = await response.text()
            assert response.status in (200, 201), f"{self.name}: {text}"
            return json.loads(text)


async def run(
    urls: Sequence[str],
    key: str,
    *,
    clients: dict[type[Client], int],
    events: int,
    seed: int,
    mean: int,
    meanwhile: Coroutine[Any, Any, None] | None = None,
) -> str:
    """All of it; what there was to see. Raises AssertionError.

    `meanwhile` is what is done to the APIs but the first, to which events are published.
    """
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        is_rough = meanwhile is not None
        this = Run(urls, key, seed, mean, Published(events), session, is_rough)
        kinds = [kind for kind, count in clients.items() for _ in range(count)]
        joined = [kind(this, number) for number, kind in enumerate(kinds)]
        trouble = None if meanwhile is None else asyncio.create_task(meanwhile)
        async with asyncio.TaskGroup() as group:
            for client in joined:
                group.create_task(client.go())
            group.create_task(publish(this))
        if trouble is not None:
            trouble.cancel()
    seen = sum(len(client.seen) for client in joined)
    return (
        f"{events:,} events, {len(joined)} clients, {this.cuts:,} cuts, {this.lost:,} "
        f"lost: {seen:,} seen, each once and in order"
    )
