"""Deliveries a second and what they cost, against a bare loop of the same HTTP client.

What is owed was published and handed off beforehand; `daybook work` is started after that
and drains it to a receiver in a process of its own, over 64 connections in all. The bare
loop sends as many requests, with the headers and the body of a real delivery, over 64
connections too. A rate counts from the moment every worker owns lanes; commits and WAL are
those of the whole run, from the workers' start to their end.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from benchmarks import measure
from benchmarks.rig import stage, usage
from benchmarks.rig.clients import Task
from benchmarks.rig.stage import Receiver, Tenant

CONNECTIONS = 64
BODY_BYTES = 1024
AROUND_DATA = 235  # bytes that a body has besides the event's data, about
TENANTS = 2
WEBHOOKS = 10  # a tenant; a webhook has at most 50 in flight, and fan_out_10 needs ten
MAX_IN_FLIGHT = 50
PUBLISHED = 200  # events a second in the run that also publishes
FAN_OUTS = (1, 10)


class Drain(NamedTuple):
    """What came of one run."""

    rate: float  # deliveries a second
    worker_us: float  # CPU of all workers for one delivery
    server_us: float  # of all of Postgres
    commits: float  # for one delivery
    wal_bytes: float
    wal_full_pages: float
    seconds: float
    settled_ms: float  # from the last arrival until nothing was owed any more
    connections: int  # at most, at one time
    started: int  # workers
    took_part: int


class Prepared(NamedTuple):
    """What the runs of one fan-out begin with."""

    url: str
    tenant: Tenant
    owed: int
    task: Task  # a real delivery, for the bare loop


def subscriptions(receiver: Receiver, fan_out: int) -> list[dict[str, Any]]:
    """A tenant's webhooks: an event is owed to one of them, or to all ten."""
    return [
        {
            "url": f"{receiver.url}/hook",
            "event_types": ["bench.*"] if fan_out > 1 else [f"bench.t{number}"],
            "max_in_flight": MAX_IN_FLIGHT,
        }
        for number in range(WEBHOOKS)
    ]


def events(count: int) -> list[dict[str, Any]]:
    """Events whose deliveries have about 1 KiB, of a type for each webhook in turn."""
    data = {"x": "x" * (BODY_BYTES - AROUND_DATA)}
    return [
        {"type": f"bench.t{n % WEBHOOKS}", "stream": f"stream/{n % 997}", "data": data}
        for n in range(count)
    ]


@contextmanager
def prepared(receiver: Receiver, fan_out: int, deliveries: int) -> Iterator[Prepared]:
    """A database with so much owed."""
    with measure.database() as url:
        measure.say(f"preparing {deliveries:,} deliveries, {fan_out} an event")
        with stage.serving(url) as made:
            tenants = [
                stage.a_tenant(made, subscriptions(receiver, fan_out))
                for _ in range(TENANTS)
            ]
            for tenant in tenants:
                batch = events(deliveries // fan_out // TENANTS)
                stage.publish(made, tenant, batch)
        owed = stage.hand_off(url)
        assert owed == deliveries, f"{owed} owed"
        receiver.ask("reset")
        with stage.copy(url) as run, stage.working(run, 1):
            stage.until(receiver.count)
        task = stage.sample(receiver, "/hook", CONNECTIONS)
        yield Prepared(url, tenants[0], owed, task)


class Mark(NamedTuple):
    """Where a run is at a moment."""

    arrived: int
    ns: int
    worker_cpu: float
    server_cpu: float
    settled_ms: float = 0.0
    connections: int = 0


def drain(
    receiver: Receiver, given: Prepared, workers: int, published: float = 0
) -> Drain:
    """One run of so many workers, on a copy; `published` events a second meanwhile."""
    receiver.ask("reset")
    slots = str(CONNECTIONS // workers)
    with (
        stage.copy(given.url) as url,
        stage.connect(given.url, dbname="postgres") as admin,
        stage.connect(url) as db,
        _publishing(url, given.tenant, published),
    ):
        before = usage.wal(admin)
        with stage.working(url, workers, DAYBOOK_CONCURRENCY=slots) as pids:
            begun, ended = _watch(receiver, db, given.owed, pids, bool(published))
            took_part = stage.owners(db)
        db.close()
        if not published:  # else the API's process stays
            stage.until(lambda: not stage.users(admin, url))
        commits = usage.commits(admin, url)
        after = usage.wal(admin)
    count = ended.arrived - begun.arrived
    return Drain(
        rate=count / (ended.ns - begun.ns) * 1e9,
        worker_us=(ended.worker_cpu - begun.worker_cpu) / count * 1e6,
        server_us=(ended.server_cpu - begun.server_cpu) / count * 1e6,
        commits=commits / ended.arrived,
        wal_bytes=(after.bytes - before.bytes) / ended.arrived,
        wal_full_pages=(after.full_pages - before.full_pages) / ended.arrived,
        seconds=(ended.ns - begun.ns) / 1e9,
        settled_ms=ended.settled_ms,
        connections=ended.connections,
        started=workers,
        took_part=took_part,
    )


def _watch(
    receiver: Receiver,
    db: psycopg.Connection[Any],
    owed: int,
    pids: list[int],
    is_more_coming: bool,
) -> tuple[Mark, Mark]:
    """From the moment all take part to the last delivery, and until it is settled."""

    def mark(at: str) -> Mark:
        report = receiver.ask("report")
        return Mark(
            arrived=report["count"],
            ns=report[at],
            worker_cpu=usage.cpu_of(pids),
            server_cpu=usage.cpu_of_server(db),
            settled_ms=(report["now_ns"] - report["last_ns"]) / 1e6,
            connections=report["most_open"] - 1,  # one of them asks
        )

    # A worker that owns nothing by the time half is done will hardly get anything.
    stage.until(
        lambda: receiver.count() and (
            stage.owners(db) == len(pids) or receiver.count() > owed / 2
        )
    )  # fmt: skip
    begun = mark("now_ns")
    stage.until(lambda: receiver.count() >= owed)
    if not is_more_coming:
        stage.until(lambda: not stage.owed(db))
    return begun, mark("last_ns")


@contextmanager
def _publishing(url: str, tenant: Tenant, rate: float) -> Iterator[None]:
    """Events over HTTP all the while."""
    if not rate:
        yield
        return
    with stage.serving(url) as made:
        body = json.dumps(events(1)[0])
        task = Task(
            f"{made.api_url}/api/v1/events", tenant.headers, body, rate=rate,
            seconds=stage.PATIENCE,
        )  # fmt: skip
        with stage.client("pace", task):
            yield


class Bare(NamedTuple):
    """What came of the bare loop, and of the receiver when nothing holds it up."""

    rate: float
    cpu_us: float


def middle(outcomes: list[Any]) -> Any:
    """The medians."""
    kind = type(outcomes[0])
    return kind(*map(statistics.median, zip(*outcomes, strict=True)))


def figures(given: Prepared, fan_out: int, outcomes: dict[str, list[Any]]) -> None:
    """Print what came of one fan-out."""
    found = {name: middle(several) for name, several in outcomes.items()}
    bare: Bare = found.pop("bare")
    alone: Bare = found.pop("receiver")
    shared = {
        "deliveries": given.owed,
        "webhooks": TENANTS * WEBHOOKS,
        "tenants": TENANTS,
        "max_in_flight": MAX_IN_FLIGHT,
        "connections": CONNECTIONS,
        "body_bytes": len(given.task.body),
    }
    for name, found_one in found.items():
        metric = f"fan_out_{fan_out}{name}"
        params = shared | _details(found_one)
        measure.figure(
            "delivery", metric, found_one.rate, "deliveries/s", "bare aiohttp loop",
            bare.rate, params,
        )  # fmt: skip
        cost = found_one.worker_us + found_one.server_us
        if cost == cost and name != "_publishing":  # known, and of nothing else
            measure.figure(
                "delivery", f"{metric}_cpu", cost, "us/delivery",
                "bare aiohttp loop, us/request", bare.cpu_us, params, less_is_better=True,
            )  # fmt: skip
    measure.figure(
        "delivery", f"receiver_{fan_out}", alone.rate, "requests/s", "bare aiohttp loop",
        bare.rate, {"connections": CONNECTIONS},
    )  # fmt: skip


def _details(found: Drain) -> dict[str, Any]:
    known = {name: value for name, value in found._asdict().items() if value == value}
    known["slots_a_worker"] = CONNECTIONS // found.started
    return {name: round(value, 3) for name, value in known.items() if name != "rate"}


def run(
    receiver: Receiver, fan_out: int, deliveries: int, turns: int, *, is_quick: bool
) -> None:
    """One fan-out."""
    with prepared(receiver, fan_out, deliveries) as given:
        task = given.task._replace(requests=deliveries)
        runs: dict[str, Callable[[], Any]] = {
            "receiver": lambda: Bare(**stage.run_client("raw", task)),
            "bare": lambda: Bare(**stage.run_client("bare", task)),
            "": lambda: drain(receiver, given, 1),
        }
        if not is_quick:
            runs["_two_workers"] = lambda: drain(receiver, given, 2)
        if fan_out == 1 and not is_quick:
            runs["_publishing"] = lambda: drain(receiver, given, 1, PUBLISHED)
        figures(given, fan_out, measure.turns(turns, runs))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Deliveries a second")
    parser.add_argument("--deliveries", type=int, default=50_000)
    parser.add_argument("--turns", type=int, default=measure.PAIRS)
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    chosen = parser.parse_args()
    quick = chosen.quick
    deliveries, turns = (500, 1) if quick else (chosen.deliveries, chosen.turns)
    with stage.receiving() as receiver:
        for fan_out in (10,) if quick else FAN_OUTS:
            run(receiver, fan_out, deliveries, turns, is_quick=quick)


if __name__ == "__main__":
    main()
