"""Pages touched at 10,000, 100,000 and 1,000,000 events: what does not grow, shown.

Counted by Postgres itself (EXPLAIN BUFFERS), so the figures do not depend on what else the
machine does: an append group of 64, a handoff batch of 500, a page of 50 of a tenant's
history; and a handoff with 10,000 webhooks of which 10 match, against 10 webhooks.
"""

import statistics
from typing import Any, NamedTuple

import psycopg

from benchmarks import filling, measure
from projections.log.appender import QUERIES as APPEND
from projections.sql import Queries

SIZES = (10_000, 100_000, 1_000_000)
TENANTS = 100
EXECUTIONS = 9
HANDOFF = Queries("projections.webhooks", "handoff.sql")
HISTORY = """
    select position, type, state from daybook.events
    where tenant_id = %(tenant)s and position < %(before)s
    order by position desc limit 50
"""


class Cost(NamedTuple):
    """Pages that a statement touches, found in memory or read, and how long it takes."""

    pages: int
    ms: float


def cost(connection: psycopg.Connection[Any], query: str, params: Any) -> Cost:
    """The medians of some executions; their effects are undone."""
    costs = []
    for _ in range(EXECUTIONS):
        with connection.transaction(force_rollback=True):
            text = f"explain (analyze, buffers, format json) {query}"
            row = connection.execute(text.encode(), params).fetchone()
        assert row is not None
        found = row[0][0]
        plan = found["Plan"]
        touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        costs.append((touched, found["Planning Time"] + found["Execution Time"]))
    pages, times = zip(*costs, strict=True)
    return Cost(round(statistics.median(pages)), statistics.median(times))


def append_group(connection: psycopg.Connection[Any], size: int) -> Cost:
    """64 events for 20 tenants."""
    n = 64
    tenants = [filling.tenant(number % 20) for number in range(n)]
    ids = [f"new_{size}_{number:020d}" for number in range(n)]
    nothing = [None] * n
    columns = [
        tenants,
        list(range(n)),
        ids,
        ids,
        nothing,
        ["a.x"] * n,
        ["published"] * n,
    ]
    columns += [[filling.STATE] * n, *[nothing] * 8]
    return cost(connection, APPEND["append"], columns)


def tail_batch(connection: psycopg.Connection[Any], size: int) -> Cost:
    """The handoff of the last 500 events."""
    return cost(connection, HANDOFF["hand_off"], _last_500(size))


def history_page(connection: psycopg.Connection[Any], size: int) -> Cost:
    """50 events from the middle of a tenant's history."""
    params = {"tenant": filling.tenant(7), "before": size // TENANTS // 2 + 60}
    return cost(connection, HISTORY, params)


MEASURES = {
    "append_group_of_64": append_group,
    "tail_batch_of_500": tail_batch,
    "history_page_of_50": history_page,
}


def handoff_among(connection: psycopg.Connection[Any]) -> tuple[Cost, Cost]:
    """A batch of 500 with 10 webhooks that match, then with 9,990 more that do not."""
    params = _last_500(SIZES[-1])
    connection.execute(
        "truncate daybook.webhook_ranges, daybook.webhook_versions,"
        " daybook.webhook_sequences"
    )
    connection.execute("delete from daybook.webhooks")
    filling.webhooks(connection, 10, "a.*", tenants=TENANTS)
    connection.execute("vacuum analyze")
    few = cost(connection, HANDOFF["hand_off"], params)
    filling.webhooks(connection, 9_990, "z.never", tenants=TENANTS, first=1000)
    connection.execute("vacuum analyze")
    return few, cost(connection, HANDOFF["hand_off"], params)


def _last_500(size: int) -> dict[str, Any]:
    """A batch without payload filters."""
    refused: dict[str, Any] = {"tenants": [], "webhooks": [], "positions": []}
    return refused | {"after": size - 500, "through": size, "left_out": []}


def main() -> None:
    """The command."""
    found: dict[str, list[Cost]] = {name: [] for name in MEASURES}
    with (
        measure.database() as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute("set search_path = daybook")
        filling.webhooks(connection, 2 * TENANTS, "a.*", tenants=TENANTS)
        last = 0
        for size in SIZES:
            measure.say(f"filling up to {size:,} events")
            filling.events(
                connection, last + 1, size, tenants=TENANTS, types=["a.x", "b.x"]
            )
            last = size
            connection.execute("vacuum analyze")
            for name, count in MEASURES.items():
                found[name].append(count(connection, size))
        few, many = handoff_among(connection)
    for name, costs in found.items():
        counts = [one.pages for one in costs]
        params = {"operation": name, "pages": dict(zip(SIZES, counts, strict=True))}
        measure.figure(
            "growth", "pages_touched", counts[-1], "pages", "at 10,000 events",
            counts[0], params, less_is_better=True,
        )  # fmt: skip
    params = {"operation": "handoff_of_500", "webhooks": 10_000, "matching": 10}
    measure.figure(
        "growth", "handoff_ms", many.ms, "ms", "10 webhooks, all matching", few.ms,
        params | {"pages": many.pages, "baseline_pages": few.pages}, less_is_better=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
