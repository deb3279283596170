"""What is told of each request: a log line, and figures by route.

A route is told by its template, so neither labels nor lines have what callers choose. Those
who look after the process (health, metrics) are logged only on `debug`, or when it failed.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge, Histogram

from domain import ids, traces
from domain.traces import Trace
from projections import tracing
from projections.telemetry import REGISTRY
from projections.tracing import Served

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "none"  # the route of a path that leads nowhere
CUT_OFF = "none"  # the status of a request that ended without an answer
_WATCHING = ("/health/", "/metrics")

_REQUESTS = Counter(
    "daybook_requests",
    "Requests that ended, by route and status.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
_SECONDS = Histogram(
    "daybook_request_seconds",
    "Seconds from a request's head to its answer's.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
_IN_FLIGHT = Gauge(
    "daybook_requests_in_flight",
    "Requests that have not ended.",
    registry=REGISTRY,
)
# A labelled series costs a lock and a tuple to find, each time.
_counter = lru_cache(4096)(_REQUESTS.labels)
_histogram = lru_cache(1024)(_SECONDS.labels)


class Observer:
    """Sees each request begin and end; one for each application."""

    def __init__(self) -> None:
        # Bound once: structlog's proxy puts a logger together on every call, which takes
        # as long as the line itself.
        self._log = structlog.get_logger("daybook.requests").bind()

    def begun(self, scope: Any) -> Served | None:
        """A request has come; its span, where spans are made."""
        _IN_FLIGHT.inc()
        if not tracing.is_on() or scope["path"].startswith(_WATCHING):
            return None
        return Served(trace(scope))

    def ended(
        self,
        scope: Any,
        status: int | None,
        answered_seconds: float,
        seconds: float,
        span: Served | None,
    ) -> None:
        """It is over; `answered_seconds` is until its answer began."""
        _IN_FLIGHT.dec()
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = scope.get("path_template") or UNMATCHED
        _counter(method, route, str(status or CUT_OFF)).inc()
        if status is not None:
            _histogram(method, route).observe(answered_seconds)
        if span is not None:
            span.end(method, route, status)
        self._writer(route, status)(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            **_whose(scope.get("auth")),
        )

    def _writer(self, route: str, status: int | None) -> Callable[..., Any]:
        """At which level it is logged."""
        write: Callable[..., Any] = self._log.info
        if status is not None and status >= 500:
            write = self._log.warning
        elif route.startswith(_WATCHING):
            write = self._log.debug
        return write


def trace(scope: Any) -> Trace | None:
    """What the request's `traceparent` names; what cannot be read is as if not sent."""
    named = [value for name, value in scope["headers"] if name == b"traceparent"]
    return traces.parse(named[0]) if len(named) == 1 else None


def _whose(caller: Any) -> dict[str, str]:
    """The tenant and key of a Caller, or `operator`; nothing before it is known."""
    if caller is None:
        return {}
    if caller.is_operator:
        return {"key": "operator"}
    return {"tenant": _tenant(caller.tenant), "key": caller.actor.partition(":")[2]}


@lru_cache(10_000)
def _tenant(tenant_id: UUID) -> str:
    return ids.encode("ten", tenant_id)
