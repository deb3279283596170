"""Deliveries while everything goes wrong: receivers of every mood, workers killed, stopped
and replaced, Postgres killed, webhooks changed, all at once.

At the end every owed delivery is finished; every arrival has exactly one attempt row, and
every attempt with a status an arrival; the same webhook-id always came with the same bytes;
streams that are kept in order came in order. `python3 start.py soak chaos`.
"""

import argparse
import asyncio
import os
import random
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import namedtuple_row
from rich.progress import Progress

from domain import ids
from tests.support.moody import MOODS, Moody
from tests.support.processes import Cluster, Process, Product, cluster, product

RETRY = {"delays": [1, 1, 2, 2], "jitter": 0.2}
STREAMS = 5
AGAIN = (httpx.TransportError, httpx.TimeoutException)


@dataclass
class Chaos:
    """What goes wrong, and to whom."""

    made: Product
    postgres: Cluster
    receiver: Moody
    client: httpx.AsyncClient
    chance: random.Random
    workers: list[Process]
    webhooks: dict[int, str] = field(default_factory=dict)  # number: id
    ordered: set[int] = field(default_factory=set)
    deeds: Counter[str] = field(default_factory=Counter)
    published: int = 0
    is_over: bool = False

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request that is repeated while the database is away."""
        while True:
            try:
                response = await self.client.request(
                    method, f"/api/v1{path}", json=body
                )
            except AGAIN:
                await asyncio.sleep(0.05)
                continue
            if response.status_code != 503:
                return response
            await asyncio.sleep(0.05)

    async def subscribe(self, number: int, mood: str, **settings: Any) -> None:
        """A webhook with a number of its own."""
        body = {
            "url": self.receiver.url(number, mood),
            "event_types": ["chaos.*"],
            "retry": RETRY,
            "timeout_seconds": 1,
            "disable_after": {"failures": 200, "over_seconds": 0},
        } | settings
        response = await self.ask("POST", "/webhooks", body)
        assert response.status_code == 201, response.text
        self.webhooks[number] = response.json()["id"]
        if settings.get("ordering") == "stream":
            self.ordered.add(number)

    async def publish(self) -> None:
        """Events all the while, in a few streams."""
        while not self.is_over:
            body = {
                "id": ids.fresh("evt"),
                "type": f"chaos.{self.chance.choice(['one', 'two'])}",
                "stream": f"chaos/{self.published % STREAMS}",
                "data": {"n": self.published, "note": "x" * 200},
            }
            response = await self.ask("POST", "/events", body)
            assert response.status_code in (200, 202), response.text
            self.published += 1
            await asyncio.sleep(0.02)


async def kill_worker(chaos: Chaos) -> None:
    """SIGKILL, and another in its place."""
    worker = chaos.chance.choice(chaos.workers)
    await asyncio.to_thread(worker.kill)
    worker.start()


async def hang_worker(chaos: Chaos) -> None:
    """A worker that stands still for longer than its lease, and then goes on."""
    worker = chaos.chance.choice(chaos.workers).running
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)
    await asyncio.sleep(3)
    os.kill(worker.pid, signal.SIGCONT)


async def replace_worker(chaos: Chaos) -> None:
    """Stopped properly; another begins."""
    worker = chaos.chance.choice(chaos.workers)
    await asyncio.to_thread(worker.stop)
    worker.start()


async def kill_postgres(chaos: Chaos) -> None:
    """SIGKILL of the postmaster."""
    await asyncio.to_thread(chaos.postgres.kill)


async def change_webhook(chaos: Chaos) -> None:
    """Another mood, other limits."""
    number, webhook_id = chaos.chance.choice(list(chaos.webhooks.items()))
    mood = chaos.chance.choice(list(MOODS))
    body = {
        "url": chaos.receiver.url(number, mood),
        "max_in_flight": chaos.chance.randint(1, 20),
        "rate_per_second": chaos.chance.choice([None, 5, 50]),
    }
    await chaos.ask("PATCH", f"/webhooks/{webhook_id}", body)


async def disable_and_enable(chaos: Chaos) -> None:
    """Off and on again."""
    webhook_id = chaos.chance.choice(list(chaos.webhooks.values()))
    await chaos.ask("POST", f"/webhooks/{webhook_id}/disable")
    await chaos.ask("POST", f"/webhooks/{webhook_id}/enable", {"resume": "continue"})


async def replay(chaos: Chaos) -> None:
    """Everything again, for one of them."""
    webhook_id = chaos.chance.choice(list(chaos.webhooks.values()))
    body = {"from": {"position": max(1, chaos.published - 200)}}
    await chaos.ask("POST", f"/webhooks/{webhook_id}/replay", body)


async def come_and_go(chaos: Chaos) -> None:
    """One webhook ends, another begins."""
    number = chaos.chance.choice([n for n in chaos.webhooks if n not in chaos.ordered])
    await chaos.ask("DELETE", f"/webhooks/{chaos.webhooks.pop(number)}")
    mood = chaos.chance.choice(list(MOODS))
    await chaos.subscribe(max([number, *chaos.webhooks]) + 100, mood)


DEEDS: tuple[Callable[[Chaos], Awaitable[None]], ...] = (
    kill_worker,
    hang_worker,
    replace_worker,
    kill_postgres,
    change_webhook,
    change_webhook,
    disable_and_enable,
    replay,
    come_and_go,
)


async def run(
    seconds: float, made: Product, postgres: Cluster, progress: Progress | None = None
) -> Chaos:
    """Chaos for so long; then peace, until all that is owed is finished."""
    made.serve()
    workers = [made.work(), made.work()]
    _, key = made.tenant()
    receiver = Moody(seed=int(seconds))
    await receiver.start()
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=made.api_url, headers=headers, timeout=30, trust_env=False
    ) as client:
        chance = random.Random(seconds)
        chaos = Chaos(made, postgres, receiver, client, chance, workers)
        for number, mood in enumerate(MOODS):
            ordering = "stream" if mood in ("ill", "hanging", "dropping") else "none"
            await chaos.subscribe(number, mood, ordering=ordering)
        publishing = asyncio.create_task(chaos.publish())
        await _rage(chaos, seconds, progress)
        chaos.is_over = receiver.is_calm = True
        await publishing
        await _peace(chaos)
    await receiver.stop()
    return chaos


async def _rage(chaos: Chaos, seconds: float, progress: Progress | None) -> None:
    task = progress.add_task("chaos", total=seconds) if progress else None
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        deed = chaos.chance.choice(DEEDS)
        await deed(chaos)
        chaos.deeds[getattr(deed, "__name__", "")] += 1
        if progress and task is not None:
            text = (
                f"{chaos.published} published, {len(chaos.receiver.arrivals)} arrived"
            )
            progress.update(task, completed=passed, description=text)
        await asyncio.sleep(chaos.chance.uniform(0, 1))


async def _peace(chaos: Chaos) -> None:
    """Everything is enabled, and everybody patient: wait until nothing is owed."""
    deadline = time.monotonic() + 300
    while await asyncio.to_thread(_owed, chaos.postgres.url, chaos.published):
        assert time.monotonic() < deadline, chaos.made.logs()
        for webhook_id in chaos.webhooks.values():
            await chaos.ask("POST", f"/webhooks/{webhook_id}/enable")
            await chaos.ask(
                "PATCH", f"/webhooks/{webhook_id}", {"rate_per_second": None}
            )
        await asyncio.sleep(0.5)


def _rows(url: str, query: str) -> list[Any]:
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        return connection.execute(query.encode()).fetchall()


def _owed(url: str, published: int) -> bool:
    """Whether anything is: handed off and not finished, or not handed off yet."""
    [row] = _rows(
        url,
        """
        select exists (select from daybook.owed)
            or exists (select from daybook.replays where state = 'running')
            or (select log_position from daybook.checkpoints where name = 'deliveries')
                < (select max(log_position) from daybook.events) as is_owed
        """,
    )
    return bool(row.is_owed)


def judge(chaos: Chaos) -> dict[str, int]:
    """What must hold; and figures."""
    url, arrivals = chaos.postgres.url, chaos.receiver.arrivals
    finished(url)
    attempts = attempted(url)
    came = Counter((arrival.delivery, arrival.attempt) for arrival in arrivals)
    assert max(came.values()) == 1, "two arrivals of one attempt"
    missing = came.keys() - attempts.keys()
    assert not missing, f"{len(missing)} arrivals without an attempt"
    ghosts = {
        key for key, row in attempts.items() if row.status_code and key not in came
    }
    assert not ghosts, f"{len(ghosts)} attempts with a status that never arrived"
    same_bytes(chaos)
    in_order(chaos)
    unknown = [key for key, row in attempts.items() if row.outcome == "unknown"]
    return {
        "published": chaos.published,
        "arrivals": len(arrivals),
        "attempts": len(attempts),
        "unknown": len(unknown),
        "unknown_that_arrived": sum(key in came for key in unknown),
        "late": sum(row.outcome == "late" for row in attempts.values()),
    }


def finished(url: str) -> None:
    """Everything that was numbered or handed off has exactly one result."""
    live = _rows(
        url,
        """
        select s.webhook_id, s.sequence, count(r.*) as results,
            count(distinct r.sequence) as numbers
        from daybook.webhook_sequences s
        left join daybook.results r using (tenant_id, webhook_id)
        where coalesce(r.replay, 0) = 0
        group by s.webhook_id, s.sequence
        having count(r.*) <> s.sequence or count(distinct r.sequence) <> s.sequence
        """,
    )
    assert not live, live
    replays = _rows(
        url,
        """
        select p.replay_id, p.state, p.handed_off, count(r.*) as results
        from daybook.replays p
        left join daybook.results r using (tenant_id, webhook_id, replay)
        group by p.replay_id, p.state, p.handed_off
        having count(r.*) <> p.handed_off
        """,
    )
    assert not replays, replays


def attempted(url: str) -> dict[tuple[str, int], Any]:
    """The attempts, by what a receiver saw of them."""
    rows = _rows(
        url,
        """
        select a.position, w.number as webhook, a.replay, a.number, a.outcome, a.status_code
        from daybook.attempts a join daybook.webhooks w using (tenant_id, webhook_id)
        """,
    )
    return {
        (ids.delivery(ids.DeliveryKey(r.position, r.webhook, r.replay)), r.number): r
        for r in rows
    }


def same_bytes(chaos: Chaos) -> None:
    """A webhook-id stands for one body, over all attempts and replays."""
    bodies: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for arrival in chaos.receiver.arrivals:
        bodies[arrival.webhook, arrival.message_id].add(arrival.body_sha256)
    assert all(len(found) == 1 for found in bodies.values())


def in_order(chaos: Chaos) -> None:
    """First arrivals of a stream, at webhooks that keep its order."""
    streams = {
        row.position: row.stream
        for row in _rows(
            chaos.postgres.url, "select position, stream from daybook.events"
        )
    }
    last: defaultdict[tuple[str, str], int] = defaultdict(int)
    seen: set[tuple[str, int]] = set()
    for arrival in chaos.receiver.arrivals:
        key = (arrival.webhook, arrival.position)
        if (
            int(arrival.webhook) not in chaos.ordered
            or arrival.is_replay
            or key in seen
        ):
            continue
        seen.add(key)
        stream = (arrival.webhook, streams[arrival.position])
        assert arrival.position > last[stream], f"{arrival} after {last[stream]}"
        last[stream] = arrival.position


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    seconds = parser.parse_args().minutes * 60
    with (
        cluster() as postgres,
        tempfile.TemporaryDirectory() as folder,
        product(postgres.url, Path(folder)) as made,
        Progress() as progress,
    ):
        chaos = asyncio.run(run(seconds, made, postgres, progress))
        figures = judge(chaos)
    print(f"{dict(chaos.deeds)}\n{figures}")


if __name__ == "__main__":
    main()
