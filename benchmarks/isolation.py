"""What a webhook in trouble does to its neighbour: time from publish to arrival.

One webhook has a hundred thousand deliveries waiting and a receiver that takes 10 s for
each. Another of the same tenant has one that takes 200 ms, and gets 20 events a second. The
baseline is the second webhook when nothing waits for the first.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

from benchmarks import measure
from benchmarks.latency import percentile
from benchmarks.rig import stage
from benchmarks.rig.clients import STAMP, Task
from benchmarks.rig.stage import Receiver, Tenant
from tests.support.processes import Product

WAITING = 100_000
RATE = 20
SLOW, QUICK = "/after/10000", "/after/200"
MOST_IN_FLIGHT = 50
TURNS = 2


class Ground(NamedTuple):
    """Two databases, alike but for what waits."""

    alone: str
    beside: str
    tenant: Tenant


@contextmanager
def prepared(receiver: Receiver, waiting: int) -> Iterator[Ground]:
    """Both of them."""
    with measure.database() as url:
        slow = {"url": receiver.url + SLOW, "event_types": ["slow.*"]}
        quick = {"url": receiver.url + QUICK, "event_types": ["quick.*"]}
        webhooks: list[dict[str, Any]] = [
            slow | {"max_in_flight": MOST_IN_FLIGHT},
            quick,
        ]
        with stage.serving(url) as made:
            tenant = stage.a_tenant(made, webhooks)
        stage.hand_off(url)
        with stage.copy(url, "beside") as beside:
            measure.say(f"preparing {waiting:,} deliveries")
            event = {"type": "slow.happened", "data": {"x": "x" * 790}}
            with stage.serving(beside) as made:
                stage.publish(made, tenant, [event] * waiting)
            assert stage.hand_off(beside) == waiting
            yield Ground(url, beside, tenant)


def turn(
    receiver: Receiver, tenant: Tenant, source: str, seconds: float
) -> list[float]:
    """Milliseconds from publish to arrival at the second webhook's receiver."""
    receiver.ask("reset")
    waits = source.endswith("beside")
    with (
        stage.copy(source) as url,
        stage.serving(url) as made,
        stage.working(url, 1, DAYBOOK_GRACE_SECONDS="0"),
    ):
        if waits:
            stage.until(lambda: receiver.count() >= MOST_IN_FLIGHT, seconds=60)
        publish(made, receiver, tenant, 1.0)  # all connections are there from now on
        receiver.ask("reset")
        return publish(made, receiver, tenant, seconds)


def publish(
    made: Product, receiver: Receiver, tenant: Tenant, seconds: float
) -> list[float]:
    """Publish for a while, and wait for it all; how long each was under way, in ms."""
    body = json.dumps({"type": "quick.happened", "data": {"stamp": 0}})
    task = Task(
        f"{made.api_url}/api/v1/events",
        tenant.headers,
        body.replace('"stamp": 0', f'"stamp":{STAMP}'),
        rate=RATE,
        seconds=seconds,
    )
    published = len(stage.run_client("pace", task)["answered_ms"])

    def arrived() -> Any:
        found = receiver.ask("latencies").get(QUICK, [])
        return found if len(found) >= published else None

    return list(stage.until(arrived, seconds=60))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Beside a webhook in trouble")
    parser.add_argument("--seconds", type=float, default=60, help="a turn")
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    chosen = parser.parse_args()
    waiting, seconds, turns = WAITING, chosen.seconds, TURNS
    if chosen.quick:
        waiting, seconds, turns = 200, 1.0, 1
    with stage.receiving() as receiver, prepared(receiver, waiting) as ground:
        runs = {
            "alone": lambda: turn(receiver, ground.tenant, ground.alone, seconds),
            "beside": lambda: turn(receiver, ground.tenant, ground.beside, seconds),
        }
        outcomes = measure.turns(turns, runs, _in_short)
    alone, beside = (list(chain(*outcomes[name])) for name in runs)
    params: dict[str, Any] = {"waiting": waiting, "rate": RATE, "events": len(beside)}
    for name, values in (("alone", alone), ("beside", beside)):
        params |= {f"{name}_p{n}": round(percentile(values, n), 2) for n in (50, 95)}
    measure.figure(
        "isolation", "p99_beside_backlog", percentile(beside, 99), "ms", "p99 alone",
        percentile(alone, 99), params, less_is_better=True,
    )  # fmt: skip


def _in_short(values: list[float]) -> str:
    return f"p99 {percentile(values, 99):.1f} ms of {len(values)}"


if __name__ == "__main__":
    main()
