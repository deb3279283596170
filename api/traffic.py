"""Figures of requests, for Prometheus: counted in dictionaries, shown when somebody asks.

The library's own counters take a lock and look up their labels at each of the five steps
that a request makes them take: a seventh of a publish's time. Here one thread counts, that
of the event loop.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from projections.telemetry import REGISTRY

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Seconds:
    """How many took how long; the last count is of those beyond every bucket."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def shown(self) -> list[tuple[str, float]]:
        """As Prometheus counts: each bucket with all that are below it."""
        names = [*map(str, BUCKETS), "+Inf"]
        return [
            (name, float(sum(self.counts[: number + 1])))
            for number, name in enumerate(names)
        ]


class Traffic(Collector):
    """The requests of this process."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._counts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._seconds: defaultdict[tuple[str, str], _Seconds] = defaultdict(_Seconds)

    def ended(
        self, method: str, route: str, status: str, seconds: float | None
    ) -> None:
        """One has ended, and took so long until its answer, if it had one."""
        self.in_flight -= 1
        self._counts[method, route, status] += 1
        if seconds is not None:
            self._seconds[method, route].observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """All there is, in the library's shapes."""
        requests = CounterMetricFamily(
            "daybook_requests",
            "Requests that ended, by route and status.",
            labels=["method", "route", "status"],
        )
        for labels, count in self._counts.items():
            requests.add_metric(labels, count)
        yield requests
        took = HistogramMetricFamily(
            "daybook_request_seconds",
            "Seconds from a request's head to its answer's.",
            labels=["method", "route"],
        )
        for pair, seconds in self._seconds.items():
            took.add_metric(pair, seconds.shown(), seconds.sum)
        yield took
        yield GaugeMetricFamily(
            "daybook_requests_in_flight",
            "Requests that have not ended.",
            value=self.in_flight,
        )


TRAFFIC = Traffic()
REGISTRY.register(TRAFFIC)
