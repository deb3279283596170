"""Figures for Prometheus: counted as things happen, written out when somebody asks.

No label has values that tenants choose, so the number of series is fixed: docs/metrics.md
lists them all. Each process counts for itself and is asked by itself; what the database
knows is in `projections.figures`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Generic, TypeVar
from weakref import WeakSet

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = CONTENT_TYPE_LATEST.encode()
OUTCOMES = ("succeeded", "failed")
FINISHED = ("succeeded", "dead", "cancelled")
REFUSALS = ("full", "unavailable", "unknown")
# A commit takes a millisecond or so; a publisher is given up after some seconds.
_COMMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

T = TypeVar("T")
Families = list[Metric]

# When each series began, as a series of its own: nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
Gauge(
    "daybook_info",
    "Which version this process is: the label says it.",
    ["version"],
    registry=REGISTRY,
).labels(version("daybook")).set(1)

_APPENDED = Counter(
    "daybook_appended_events", "Events this process appended.", registry=REGISTRY
)
_GROUPS = Histogram(
    "daybook_append_group_entries",
    "Entries in each group that this process sent to the log.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)
_CALLS = Histogram(
    "daybook_append_call_seconds",
    "Seconds that the log took for each group, waiting for its lock included.",
    buckets=_COMMITS,
    registry=REGISTRY,
)
_WAITS = Histogram(
    "daybook_append_wait_seconds",
    "Seconds from the oldest request of each group to its answer.",
    buckets=_COMMITS,
    registry=REGISTRY,
)
_REFUSED = Counter(
    "daybook_append_refused",
    "Requests that were not appended, or nobody knows: by reason.",
    ["reason"],
    registry=REGISTRY,
)
_BATCHES = Histogram(
    "daybook_projection_batch_seconds",
    "Seconds that each batch of a projection took, until its commit.",
    ["projection"],
    buckets=_COMMITS,
    registry=REGISTRY,
)
_APPLIED = Counter(
    "daybook_projection_events",
    "Events that a projection got past in this process.",
    ["projection"],
    registry=REGISTRY,
)
_FAILED = Counter(
    "daybook_projection_failures",
    "Batches of a projection that failed in this process.",
    ["projection"],
    registry=REGISTRY,
)
_HANDED_OFF = Counter(
    "daybook_handed_off_deliveries",
    "Deliveries that this process handed off.",
    registry=REGISTRY,
)
_ATTEMPTS = Counter(
    "daybook_attempts",
    "Attempts this process settled, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
_ATTEMPT_SECONDS = Histogram(
    "daybook_attempt_seconds",
    "Seconds that receivers took, or did not answer for.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
    registry=REGISTRY,
)
_FINISHED = Counter(
    "daybook_finished_deliveries",
    "Deliveries that this process settled for the last time, by their state.",
    ["state"],
    registry=REGISTRY,
)
_LOST_LINES = Counter(
    "daybook_log_lines_lost",
    "Log lines that could not be written, or found too many waiting.",
    registry=REGISTRY,
)
# 0 is shown, too; and asking for a series by its label takes as long as counting.
_ATTEMPTS_BY = {outcome: _ATTEMPTS.labels(outcome) for outcome in OUTCOMES}
_FINISHED_BY = {state: _FINISHED.labels(state) for state in FINISHED}
for _reason in REFUSALS:
    _REFUSED.labels(_reason)


def group_appended(entries: int, appended: int, seconds: float) -> None:
    """A group of entries went to the log, which took so many of them."""
    _GROUPS.observe(entries)
    _APPENDED.inc(appended)
    _CALLS.observe(seconds)


def group_answered(seconds: float) -> None:
    """A group has its answers; its oldest request came so long ago."""
    _WAITS.observe(seconds)


def append_refused(reason: str, requests: int = 1) -> None:
    """So many requests were turned away; `reason` is one of REFUSALS."""
    _REFUSED.labels(reason).inc(requests)


def will_run(projection: str) -> None:
    """Show its figures from the start: a rate needs the 0 before the first batch."""
    _BATCHES.labels(projection)
    _APPLIED.labels(projection)
    _FAILED.labels(projection)


def batch_applied(projection: str, events: int, seconds: float) -> None:
    """A projection's batch is committed."""
    _BATCHES.labels(projection).observe(seconds)
    _APPLIED.labels(projection).inc(events)


def batch_failed(projection: str) -> None:
    """A projection's batch was rolled back."""
    _FAILED.labels(projection).inc()


def handed_off(deliveries: int) -> None:
    """So many deliveries are owed from now on."""
    _HANDED_OFF.inc(deliveries)


def attempt_settled(outcome: str, seconds: float) -> None:
    """What came of an attempt was written down; the receiver took so long."""
    _ATTEMPTS_BY[outcome].inc()
    _ATTEMPT_SECONDS.observe(seconds)


def delivery_finished(state: str) -> None:
    """A delivery is over; `state` is one of FINISHED."""
    _FINISHED_BY[state].inc()


def log_lines_lost(lines: int) -> None:
    """So many log lines are written nowhere."""
    _LOST_LINES.inc(lines)


class Watched(Generic[T]):
    """A gauge over things that live: read when somebody asks, added up, and never kept."""

    def __init__(
        self,
        name: str,
        text: str,
        read: Callable[[T], Iterable[tuple[Sequence[str], float]]],
        labels: Sequence[str] = (),
    ) -> None:
        """`read` answers label values with what belongs to them."""
        self._about = name, text
        self._read = read
        self._labelnames = tuple(labels)
        self._things: WeakSet[T] = WeakSet()
        REGISTRY.register(self)

    def add(self, thing: T) -> None:
        """From now on, for as long as anybody holds it."""
        self._things.add(thing)

    def describe(self) -> Families:
        """The gauge without a figure, by which the registry knows it."""
        return [GaugeMetricFamily(*self._about, labels=self._labelnames)]

    def collect(self) -> Families:
        """The gauge as it is now."""
        family = GaugeMetricFamily(*self._about, labels=self._labelnames)
        sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for thing in list(self._things):
            for values, figure in self._read(thing):
                sums[tuple(values)] += figure
        for values, figure in sums.items():
            family.add_metric(values, figure)
        return [family]


class _Found(Collector):
    """Families that were made for one answer."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        yield from REGISTRY.collect()
        yield from self._families


def text(found: Iterable[Metric] = ()) -> bytes:
    """All of it, and what was found elsewhere, in Prometheus's own format."""
    return generate_latest(_Found(found))
