"""What is told of each request: a log line, and figures by route.

A route is told by its template, so neither labels nor lines have what callers choose. Those
who look after the process (health, metrics) are logged only on `debug`, or when it failed.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog

from api.traffic import TRAFFIC
from domain import ids, traces
from domain.traces import Trace
from projections import tracing
from projections.tracing import Served

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "none"  # the route of a path that leads nowhere
CUT_OFF = "none"  # the status of a request that ended without an answer
_WATCHING = ("/health/", "/metrics")


class Observer:
    """Sees each request begin and end; one for each application."""

    def __init__(self) -> None:
        # Bound once: structlog's proxy puts a logger together on every call, which takes
        # as long as the line itself.
        self._log = structlog.get_logger("daybook.requests").bind()

    def begun(self, scope: Any) -> Served | None:
        """A request has come; its span, where spans are made."""
        TRAFFIC.in_flight += 1
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
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = scope.get("path_template") or UNMATCHED
        if status is None:
            TRAFFIC.ended(method, route, CUT_OFF, None)
        else:
            TRAFFIC.ended(method, route, str(status), answered_seconds)
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

    def closed(self, scope: Any, code: int | None, seconds: float) -> None:
        """A WebSocket is over; without a code its client went away."""
        self._log.info(
            "websocket",
            route=scope.get("path_template") or UNMATCHED,
            code=code,
            seconds=round(seconds, 1),
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
