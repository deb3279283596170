"""SIGKILL of the API process and of Postgres, again and again, under load.

At the end every event that was acknowledged is in the log, at the position it was given,
once; and positions have no hole. `python3 start.py soak kills`; the suite runs a few.
"""

import argparse
import asyncio
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from rich.progress import Progress

from domain import ids
from tests.support.processes import Cluster, Process, Product, cluster, product

CLIENTS = 16
AGAIN = (httpx.TransportError, httpx.TimeoutException)


@dataclass
class Ledger:
    """What publishers were told."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    repeats: int = 0
    refusals: int = 0
    is_over: bool = False


async def publisher(client: httpx.AsyncClient, ledger: Ledger, number: int) -> None:
    """Publish one event after the other; what fails is repeated with the same id."""
    chance = random.Random(number)
    while not ledger.is_over:
        if chance.random() < 0.2:
            await _batch(client, ledger, [ids.fresh("evt") for _ in range(7)])
        else:
            await _single(client, ledger, ids.fresh("evt"))


async def _single(client: httpx.AsyncClient, ledger: Ledger, event_id: str) -> None:
    answer = await _post(client, ledger, "/api/v1/events", _event(event_id))
    if answer is not None:
        _acknowledge(ledger, event_id, answer["position"])


async def _batch(client: httpx.AsyncClient, ledger: Ledger, events: list[str]) -> None:
    body = {"events": [_event(event_id) for event_id in events]}
    answer = await _post(client, ledger, "/api/v1/events/batch", body)
    for event in (answer or {"events": []})["events"]:
        _acknowledge(ledger, event["id"], event["position"])


def _event(event_id: str) -> dict[str, Any]:
    return {"id": event_id, "type": "soak.kill", "data": {"note": "x" * 100}}


def _acknowledge(ledger: Ledger, event_id: str, position: int) -> None:
    assert ledger.acknowledged.setdefault(event_id, position) == position


async def _post(
    client: httpx.AsyncClient, ledger: Ledger, path: str, body: Any
) -> dict[str, Any] | None:
    """Post until it is accepted, or the run is over."""
    while not ledger.is_over:
        try:
            response = await client.post(path, json=body)
        except AGAIN:
            ledger.repeats += 1
            await asyncio.sleep(0.05)
            continue
        if response.status_code in (200, 202):
            answer: dict[str, Any] = response.json()
            return answer
        assert response.status_code == 503, response.text
        assert response.headers["retry-after"]
        ledger.refusals += 1
        await asyncio.sleep(0.05)
    return None


async def run(
    kills: int, made: Product, postgres: Cluster, progress: Progress | None = None
) -> Ledger:
    """Kill so many times while publishers publish; what they were told."""
    api = made.serve()
    _, key = made.tenant()
    ledger = Ledger()
    limits = httpx.Limits(max_connections=CLIENTS)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=made.api_url,
        headers=headers,
        timeout=30,
        limits=limits,
        trust_env=False,
    ) as client:
        publishers = [
            asyncio.create_task(publisher(client, ledger, n)) for n in range(CLIENTS)
        ]
        await _kill(kills, api, made, postgres, ledger, progress)
        ledger.is_over = True
        await asyncio.gather(*publishers)
    return ledger


async def _kill(
    kills: int,
    api: Process,
    made: Product,
    postgres: Cluster,
    ledger: Ledger,
    progress: Progress | None,
) -> None:
    task = progress.add_task("kills", total=kills) if progress else None
    chance = random.Random(kills)
    for number in range(kills):
        await _some_more(ledger)
        await asyncio.sleep(chance.uniform(0, 0.2))  # at any moment of a group's life
        if number % 2:
            await asyncio.to_thread(postgres.kill)
        else:
            await asyncio.to_thread(api.kill)
            api.start()
            await asyncio.to_thread(made.wait_until_ready)
        if progress and task is not None:
            progress.update(
                task, advance=1, description=f"{len(ledger.acknowledged)} acknowledged"
            )
    await _some_more(ledger)


async def _some_more(ledger: Ledger, count: int = 100) -> None:
    """Until the product has recovered and acknowledged so many more."""
    wanted = len(ledger.acknowledged) + count
    deadline = time.monotonic() + 60
    while len(ledger.acknowledged) < wanted:
        assert time.monotonic() < deadline, "no recovery without a restart"
        await asyncio.sleep(0.01)


def judge(ledger: Ledger, url: str) -> int:
    """Every acknowledged event is in the log; positions are dense. How many there are."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select event_id, position, log_position from daybook.events"
            " order by log_position"
        ).fetchall()
    found = {event_id: position for event_id, position, _ in rows}
    assert len(found) == len(rows), "an event is in the log twice"
    lost = {e for e, p in ledger.acknowledged.items() if found.get(e) != p}
    assert not lost, (
        f"{len(lost)} acknowledged events are not where they were said to be"
    )
    assert [log_position for _, _, log_position in rows] == list(
        range(1, len(rows) + 1)
    )
    assert sorted(found.values()) == list(range(1, len(rows) + 1))
    return len(rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    kills = parser.parse_args().kills
    with (
        cluster() as postgres,
        tempfile.TemporaryDirectory() as folder,
        product(postgres.url, Path(folder)) as made,
        Progress() as progress,
    ):
        ledger = asyncio.run(run(kills, made, postgres, progress))
        count = judge(ledger, postgres.url)
    print(
        f"{kills} kills: {len(ledger.acknowledged)} acknowledged, {count} in the log, "
        f"0 lost, dense; {ledger.repeats} connections lost, {ledger.refusals} times 503"
    )


if __name__ == "__main__":
    main()
