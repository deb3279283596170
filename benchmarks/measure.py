"""What every benchmark shares: a database, interleaved pairs, one JSON line a figure.

A ratio always says "more is better". Ours and the baseline take turns on the same database,
five times, and the medians are compared: on a shared machine two runs of the same thing
differ by a third, and turns spread that over both.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from migrations.runner import migrate
from workers import embedded

PAIRS = 5
T = TypeVar("T")


@contextmanager
def database() -> Iterator[str]:
    """A migrated database on a fresh embedded server, or DAYBOOK_BENCH_DATABASE_URL's.

    With the variable, a database of this process's own is made on that server and dropped.
    """
    if given := os.environ.get("DAYBOOK_BENCH_DATABASE_URL"):
        yield from _database_on(given)
        return
    with tempfile.TemporaryDirectory(prefix="daybook-bench-") as folder:
        cluster = Path(folder) / "postgres"
        with embedded.lease(cluster) as held:
            yield from _database_on(held.url)
        embedded.remove(cluster)


def _database_on(server: str) -> Iterator[str]:
    name = f"daybook_bench_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
        try:
            url = make_conninfo(server, dbname=name)
            migrate(url)
            yield url
        finally:
            admin.execute(f"drop database {name} with (force)".encode())


def interleaved(
    ours: Callable[[], float], baseline: Callable[[], float]
) -> tuple[float, float]:
    """The medians of PAIRS turns of each."""
    values, baselines = [], []
    for number in range(PAIRS):
        baselines.append(baseline())
        values.append(ours())
        say(f"pair {number + 1} of {PAIRS}: {values[-1]:,.0f} to {baselines[-1]:,.0f}")
    return statistics.median(values), statistics.median(baselines)


def turns(
    count: int, runs: dict[str, Callable[[], T]], told: Callable[[T], str] = str
) -> dict[str, list[T]]:
    """What came of each run, by its name; they take turns so many times."""
    outcomes: dict[str, list[T]] = {name: [] for name in runs}
    for number in range(count):
        for name, run in runs.items():
            outcomes[name].append(run())
            said = told(outcomes[name][-1])
            say(f"turn {number + 1} of {count}, {name or 'ours'}: {said}")
    return outcomes


def figure(
    bench: str,
    metric: str,
    value: float,
    unit: str,
    baseline: str,
    baseline_value: float,
    params: dict[str, Any],
    *,
    less_is_better: bool = False,
) -> None:
    """Print one figure on standard output."""
    ratio = baseline_value / value if less_is_better else value / baseline_value
    line = {
        "bench": bench,
        "metric": metric,
        "value": round(value, 3),
        "unit": unit,
        "baseline": baseline,
        "baseline_value": round(baseline_value, 3),
        "ratio": round(ratio, 3),
        "params": params,
    }
    print(json.dumps(line), flush=True)


def say(text: str) -> None:
    """Progress, for people, on standard error."""
    print(text, file=sys.stderr, flush=True)
