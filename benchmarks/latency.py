"""From just before a publish to its arrival at the receiver, in milliseconds.

An open loop: publishes leave at random moments at a given rate, whatever the answers do.
Publisher, API, worker and receiver are processes of their own, on one machine's clock.
Beside it, at the same rate in the same run: how long the 202 takes, and how long the same
request takes to arrive when it is posted bare; the figure is compared with their sum.
"""

import argparse
import json
import re
import statistics
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import psycopg

from benchmarks import measure
from benchmarks.rig import stage, usage
from benchmarks.rig.clients import STAMP, Task
from benchmarks.rig.stage import Receiver
from tests.support.processes import Product

IDLE = 1
RATES = (IDLE, 50, 200, 500)
CONNECTIONS = 64
TURNS = 3
WARM = 50
DATA = {"x": "x" * 790}  # makes deliveries of about 1 KiB
BARE, HOOK = "/bare", "/hook"


class Turn(NamedTuple):
    """What came of one turn; times in ms."""

    bare: list[float]  # to arrive
    accepted: list[float]  # to be answered 202
    ours: list[float]  # to arrive
    late: float  # how late the latest publish left
    commits: float
    wal_bytes: float


class Rig(NamedTuple):
    """Everything that runs."""

    receiver: Receiver
    admin: psycopg.Connection[Any]
    url: str
    publish: Task
    bare: Task


def publishing(made: Product, receiver: Receiver) -> Task:
    """A tenant with a webhook, and the request that publishes one event to it."""
    webhook = {
        "url": f"{receiver.url}{HOOK}",
        "event_types": ["bench.*"],
        "max_in_flight": 50,
    }
    tenant = stage.a_tenant(made, [webhook])
    body = json.dumps({"type": "bench.happened", "data": {"stamp": 0, **DATA}})
    body = body.replace('"stamp": 0', f'"stamp":{STAMP}')
    return Task(f"{made.api_url}/api/v1/events", tenant.headers, body, CONNECTIONS)


def warmed(receiver: Receiver, publish: Task) -> Task:
    """Publish a little; the request that the receiver got, to be posted bare."""
    receiver.ask("reset")
    stage.run_client("pace", publish._replace(rate=WARM, seconds=2.0))
    stage.until(lambda: receiver.count() >= WARM, seconds=60)
    task = stage.sample(receiver, BARE, CONNECTIONS)
    return task._replace(body=re.sub(r'"stamp":\d+', f'"stamp":{STAMP}', task.body))


def turn(rig: Rig, rate: float, seconds: float) -> Turn:
    """The bare loop, then ours."""
    receiver = rig.receiver
    receiver.ask("reset")
    stage.run_client("pace", rig.bare._replace(rate=rate, seconds=seconds))
    bare = receiver.ask("latencies")[BARE]
    receiver.ask("reset")
    before = usage.wal(rig.admin).bytes, usage.commits(rig.admin, rig.url)
    outcome = stage.run_client("pace", rig.publish._replace(rate=rate, seconds=seconds))
    count = len(outcome["answered_ms"])
    assert not outcome["failed"], f"{outcome['failed']} of {count} publishes failed"
    stage.until(lambda: receiver.count() >= count, seconds=60)
    after = usage.wal(rig.admin).bytes, usage.commits(rig.admin, rig.url)
    return Turn(
        bare=bare,
        accepted=outcome["answered_ms"],
        ours=receiver.ask("latencies")[HOOK],
        late=outcome["late_ms"],
        commits=(after[1] - before[1]) / count,
        wal_bytes=(after[0] - before[0]) / count,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def figure(rate: float, workers: int, turns: list[Turn]) -> None:
    """Print what came of one rate."""
    bare = list(chain(*(one.bare for one in turns)))
    accepted = list(chain(*(one.accepted for one in turns)))
    ours = list(chain(*(one.ours for one in turns)))
    sum_of_both = percentile(accepted, 95) + percentile(bare, 95)
    params = {
        "workers": workers,
        "rate": rate,
        "events": len(ours),
        **{
            f"p{percent}": round(percentile(ours, percent), 2)
            for percent in (50, 95, 99)
        },
        "accepted_p50": round(percentile(accepted, 50), 2),
        "accepted_p95": round(percentile(accepted, 95), 2),
        "bare_p50": round(percentile(bare, 50), 2),
        "bare_p95": round(percentile(bare, 95), 2),
        "latest_publish": round(max(one.late for one in turns), 2),
        "commits": round(statistics.median(one.commits for one in turns), 2),
        "wal_bytes": round(statistics.median(one.wal_bytes for one in turns)),
    }
    metric = "p95_idle" if rate == IDLE else f"p95_at_{rate}"
    metric += "_two_workers" if workers == 2 else ""
    measure.figure(
        "latency", metric, percentile(ours, 95), "ms",
        "p95 of the 202 + p95 of a bare POST", sum_of_both, params, less_is_better=True,
    )  # fmt: skip


def run(workers: int, rates: Sequence[float], seconds: float, turns: int) -> None:
    """All rates with so many workers."""
    with (
        measure.database() as url,
        stage.receiving() as receiver,
        stage.serving(url) as made,
        stage.working(url, workers),
        stage.connect(url, dbname="postgres") as admin,
    ):
        publish = publishing(made, receiver)
        rig = Rig(receiver, admin, url, publish, warmed(receiver, publish))
        for rate in rates:
            outcomes = []
            for number in range(turns):
                outcomes.append(turn(rig, rate, seconds / turns))
                p95 = percentile(outcomes[-1].ours, 95)
                measure.say(f"{rate}/s, turn {number + 1} of {turns}: p95 {p95:.1f} ms")
            figure(rate, workers, outcomes)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="From publish to arrival")
    parser.add_argument("--seconds", type=float, default=60, help="at each rate")
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    chosen = parser.parse_args()
    if chosen.quick:
        run(1, [200], 1.0, 1)
        return
    run(1, RATES, chosen.seconds, TURNS)
    run(2, [200], chosen.seconds, TURNS)


if __name__ == "__main__":
    main()
