"""Lists of deliveries by each filter, one delivery, statistics: at ten million, over HTTP.

The baseline is the same request with a hundredth of the deliveries, on the same machine:
what does not grow has a ratio near 1. Half of what is listed is asked for in the middle of
the history, where no cache of the newest helps.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvloop

from benchmarks import measure, past
from benchmarks.rig import stage
from domain import ids
from projections.postgres import Link
from tests.support.processes import expect, product
from workers import sweeping

WEBHOOKS = 10
DELIVERIES, QUICK = 10_000_000, 20_000
FEWER = 100  # times, in the baseline
WARM, REQUESTS = 2, 21
SETTINGS = {"DAYBOOK_LIMIT_DEFAULT": "1000000", "DAYBOOK_LOG_FORMAT": "none"}
LIST = "/api/v1/webhook-deliveries"


class Question(NamedTuple):
    """What is asked for."""

    path: str
    params: dict[str, Any]


class Ground(NamedTuple):
    """An API on a database with so many deliveries."""

    http: httpx.Client
    webhook: str
    middle: str  # a time
    delivery: str
    event: str


def questions(ground: Ground) -> dict[str, Question]:
    """By their names in the figures."""
    hook = f"/api/v1/webhooks/{ground.webhook}"
    old = {"until": ground.middle}
    page = expect(ground.http.get(LIST, params=old), 200)
    return {
        "all": Question(LIST, {}),
        "middle": Question(LIST, old),
        "next_page": Question(LIST, old | {"cursor": page["next"]}),
        "webhook": Question(f"{hook}/deliveries", {}),
        "dead": Question(LIST, {"state": "dead"}),
        "cancelled_old": Question(LIST, {"state": "cancelled"} | old),
        "never_pending": Question(LIST, {"state": "pending"}),
        "status_503": Question(LIST, {"status_code": 503} | old),
        "status_418": Question(LIST, {"status_code": 418}),
        "type": Question(LIST, {"type": "bench.made"}),
        "type_prefix": Question(LIST, {"type": "bench.*"} | old),
        "type_rare_dead": Question(LIST, {"type": "bench.rare", "state": "dead"}),
        "type_unknown": Question(LIST, {"type": "nobody.knows"}),
        "event": Question(LIST, {"event_id": ground.event}),
        "since_until": Question(LIST, {"since": ground.middle, "state": "dead"}),
        "dead_letters": Question(f"{hook}/dead-letters", {"status_code": 500}),
        "delivery": Question(f"{LIST}/{ground.delivery}", {}),
        "body": Question(f"{LIST}/{ground.delivery}/body", {}),
        "stats_day": Question(f"{hook}/stats", {}),
        "stats_month": Question(f"{hook}/stats", {"bucket": "day"}),
        "stats_all": Question(
            f"{hook}/stats", {"bucket": "day", "since": "2025-01-01T00:00:00Z"}
        ),
    }


@contextmanager
def filled(deliveries: int) -> Iterator[Ground]:
    """A tenant with ten webhooks and so many deliveries."""
    measure.say(f"filling with {deliveries:,} deliveries")
    with (
        measure.database() as url,
        tempfile.TemporaryDirectory(prefix="daybook-bench-") as folder,
        product(url, Path(folder), SETTINGS) as made,
    ):
        made.serve()
        hook = {"url": "https://bench.example/", "event_types": ["*"]}
        tenant = stage.a_tenant(made, [hook] * WEBHOOKS)
        with stage.connect(url) as connection:
            past.prepare(connection)
            tenant_id = ids.decode("ten", tenant.id)
            past.fill(connection, tenant_id, deliveries // WEBHOOKS)
            uvloop.run(_gather(url))
            connection.execute("vacuum analyze")
        with made.client(tenant.key) as http:
            yield _ground(http)


async def _gather(url: str) -> None:
    link = Link(url, "daybook_worker", "bench")
    await sweeping.sweep(link, 100_000)
    await link.close()


def _ground(http: httpx.Client) -> Ground:
    [webhook, *_] = expect(http.get("/api/v1/webhooks"), 200)["data"]
    head = expect(http.get("/api/v1/events", params={"order": "desc"}), 200)
    middle = head["data"][0]["position"] // 2
    params = {"after": middle, "limit": 1}
    [event] = expect(http.get("/api/v1/events", params=params), 200)["data"]
    params = {"event_id": event["id"]}
    [one, *_] = expect(http.get(LIST, params=params), 200)["data"]
    return Ground(http, webhook["id"], event["recorded_at"], one["id"], event["id"])


def timed(ground: Ground, question: Question) -> float:
    """The median of some requests, in ms."""
    taken = []
    for _ in range(WARM + REQUESTS):
        begun = time.perf_counter()
        answer = ground.http.get(question.path, params=question.params)
        taken.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text
    return statistics.median(taken[WARM:])


def run(deliveries: int) -> dict[str, float]:
    """How long each question takes, in ms."""
    with filled(deliveries) as ground:
        found = {}
        for name, question in questions(ground).items():
            found[name] = timed(ground, question)
            measure.say(f"{name}: {found[name]:.1f} ms")
        return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Lists and statistics of a long past")
    parser.add_argument("--deliveries", type=int, default=DELIVERIES)
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    asked = parser.parse_args()
    many = QUICK if asked.quick else asked.deliveries
    few = many // FEWER
    baseline, found = run(few), run(many)
    for name, ms in found.items():
        measure.figure(
            "history", name, ms, "ms", f"{few:,} deliveries", baseline[name],
            {"deliveries": many, "webhooks": WEBHOOKS, "requests": REQUESTS},
            less_is_better=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
