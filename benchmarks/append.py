"""Appends a second, durable, from 64 callers, against the library's own recorder.

Ours is the product's path: the appender's queue and groups, `log_append` under its role
with every check, policy and index. The baseline is PostgresApplicationRecorder as it comes,
one event an insert, at the number of threads where it is fastest.
"""

import asyncio
import itertools
import os
import statistics
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvloop
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from benchmarks import measure
from domain import ids
from domain.log.entry import Entry
from projections.log.appender import Appender
from projections.log.request_queue import Request

CALLERS = 64
SECONDS = 2.0
THREADS = (1, 8, 16, 64)
TENANTS = [UUID(int=number) for number in range(1, 21)]


def payloads() -> dict[str, list[bytes]]:
    """What is appended, by the metric's name."""
    found = {"single_event_64_callers": [b'{"x":"' + b"x" * 191 + b'"}']}
    if named := os.environ.get("DAYBOOK_PAYLOADS"):
        lines = Path(named).read_bytes().splitlines()
        found["real_payloads_64_callers"] = [
            line[line.index(b'"data":') + 7 : -1] for line in lines
        ]
    else:
        measure.say("real_payloads_64_callers needs DAYBOOK_PAYLOADS=FILE.ndjson")
    return found


class Stock:
    """The library's recorder in a schema of its own."""

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        self._settings: dict[str, Any] = {
            "dbname": given["dbname"],
            "host": given["host"],
            "port": given["port"],
            "user": given["user"],
            "password": given.get("password", ""),
        }

    def rate(self, threads: int, data: list[bytes]) -> float:
        """Events a second from so many threads."""
        datastore = PostgresDatastore(
            **self._settings,
            schema="public",
            pool_size=threads,
            max_overflow=0,
            connect_timeout=60,
        )
        recorder = PostgresApplicationRecorder(
            datastore, events_table_name="stock_events"
        )
        recorder.create_table()
        counts = [0] * threads
        end = time.monotonic() + SECONDS

        def insert(number: int) -> None:
            for state in itertools.cycle(data[number % len(data) :] + data):
                if time.monotonic() >= end:
                    return
                recorder.insert_events([StoredEvent(uuid4(), 1, "published", state)])
                counts[number] += 1

        workers = [threading.Thread(target=insert, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        datastore.close()
        return sum(counts) / SECONDS


class Ours:
    """The product's appender."""

    def __init__(self, url: str) -> None:
        self._appender = Appender(url, "daybook_app")
        self._appender.start()
        self.latencies: list[float] = []

    def rate(self, data: list[bytes]) -> float:
        """Events a second from 64 tasks."""
        return uvloop.run(self._rate(data))

    async def _rate(self, data: list[bytes]) -> float:
        end = time.monotonic() + SECONDS
        counts = await asyncio.gather(
            *(self._caller(n, data, end) for n in range(CALLERS))
        )
        return sum(counts) / SECONDS

    async def _caller(self, number: int, data: list[bytes], end: float) -> int:
        count = 0
        while (begun := time.monotonic()) < end:
            event_id = ids.fresh("evt")
            entry = Entry(
                tenant_id=TENANTS[number % len(TENANTS)],
                event_id=event_id,
                stream=event_id,
                type="bench.appended",
                state=data[(number + count) % len(data)],
            )
            await self._appender.append(Request([entry]))
            self.latencies.append(time.monotonic() - begun)
            count += 1
        return count

    @property
    def mean_group(self) -> float:
        """Events in a group, on average."""
        return self._appender.entries / max(1, self._appender.groups)

    def close(self) -> None:
        """Stop the appender."""
        self._appender.close()


def run(url: str, metric: str, data: list[bytes]) -> None:
    """One figure."""
    stock, ours = Stock(url), Ours(url)
    rates = {threads: stock.rate(threads, data) for threads in THREADS}
    best = max(rates, key=lambda threads: rates[threads])
    measure.say(f"stock recorder: {rates}; best at {best} threads")
    value, baseline = measure.interleaved(
        lambda: ours.rate(data), lambda: stock.rate(best, data)
    )
    p99 = statistics.quantiles(ours.latencies, n=100)[98] * 1e3
    ours.close()
    params = {
        "callers": CALLERS,
        "mean_bytes": round(statistics.mean(map(len, data))),
        "p99_ms": round(p99, 2),
        "mean_group": round(ours.mean_group, 1),
        "baseline_threads": best,
    }
    measure.figure(
        "append", metric, value, "events/s", "eventsourcing recorder", baseline, params
    )


def main() -> None:
    """The command."""
    with measure.database() as url:
        for metric, data in payloads().items():
            run(url, metric, data)


if __name__ == "__main__":
    main()
