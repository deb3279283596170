"""Figures for Prometheus: counted as things happen, written out when somebody asks.

No label has values that tenants choose: a projection's name, its state and an attempt's
outcome are all there is, so the number of series is fixed. Figures of the database (lag,
what is owed) are the same in every process: take one, do not add them up.
"""

from collections.abc import Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from projections.health import Checkpoint

MEDIA_TYPE = CONTENT_TYPE_LATEST.encode()
STATES = ["running", "paused", "stopped", "needs_newer_code"]
OUTCOMES = ("succeeded", "failed")

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_APPENDED = Counter(
    "daybook_appended_events", "Events this process appended.", registry=REGISTRY
)
_GROUPS = Histogram(
    "daybook_append_group_entries",
    "Entries in each group that this process sent to the log.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    registry=REGISTRY,
)
_ATTEMPTS = Counter(
    "daybook_attempts",
    "Attempts this process settled, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
_LAG = Gauge(
    "daybook_projection_lag_events",
    "Events that a projection has not seen yet.",
    ["projection"],
    registry=REGISTRY,
)
_SINCE = Gauge(
    "daybook_projection_seconds_since_advance",
    "Seconds since a projection last moved.",
    ["projection"],
    registry=REGISTRY,
)
_STUCK = Gauge(
    "daybook_projection_stuck_seconds",
    "Seconds for which a projection has had something to do and has not moved.",
    ["projection"],
    registry=REGISTRY,
)
_STATE = Enum(
    "daybook_projection_state",
    "What a projection does, or why it does nothing.",
    ["projection"],
    states=STATES,
    registry=REGISTRY,
)
_OWED = Gauge(
    "daybook_owed_deliveries",
    "Deliveries that are not finished; shown by workers.",
    ["waits_for"],
    registry=REGISTRY,
)
_LOST_LINES = Counter(
    "daybook_log_lines_lost",
    "Log lines that could not be written, or found too many waiting.",
    registry=REGISTRY,
)
for _outcome in OUTCOMES:
    _ATTEMPTS.labels(_outcome)  # 0 is shown, too


def group_appended(entries: int, appended: int) -> None:
    """A group of entries went to the log, which took so many of them."""
    _GROUPS.observe(entries)
    _APPENDED.inc(appended)


def attempt_settled(outcome: str) -> None:
    """What came of an attempt was written down."""
    _ATTEMPTS.labels(outcome).inc()


def log_lines_lost(lines: int) -> None:
    """So many log lines are written nowhere."""
    _LOST_LINES.inc(lines)


def show_projections(found: Sequence[Checkpoint]) -> None:
    """How far projections are; nothing, when nobody can tell: an old figure would lie."""
    for gauge in (_LAG, _SINCE, _STUCK, _STATE):
        gauge.clear()
    for one in found:
        _LAG.labels(one.name).set(one.lag_events)
        _SINCE.labels(one.name).set(one.seconds_since_advance)
        _STUCK.labels(one.name).set(one.stuck_seconds)
        _STATE.labels(one.name).state(one.state)


def show_owed(owed: int | None, retrying: int = 0) -> None:
    """How many deliveries are not finished, and how many of them wait for a retry."""
    _OWED.clear()
    if owed is not None:
        _OWED.labels("attempt").set(owed - retrying)
        _OWED.labels("retry").set(retrying)


def text() -> bytes:
    """All of it, in Prometheus's own format."""
    return generate_latest(REGISTRY)
