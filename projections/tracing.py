"""Spans for OpenTelemetry, where somebody collects them; where nobody does, none are made.

Only its API is used here. What is made of spans, and where they go, is the collector's: see
`workers.spans`. A span tells ids, counts and kinds of errors, and no data.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from uuid import UUID

from opentelemetry import context
from opentelemetry import trace as otel
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
)

from domain.traces import Trace

Value = str | int | float

_NOTHING = nullcontext()
_tracer: Tracer | None = None


def turn_on(provider: TracerProvider) -> None:
    """Make spans from now on, for this provider."""
    global _tracer  # noqa: PLW0603  # one process, one place that its spans go to
    _tracer = provider.get_tracer("daybook", version("daybook"))


def turn_off() -> None:
    """Make none any more."""
    global _tracer  # noqa: PLW0603
    _tracer = None


def is_on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def current() -> Trace | None:
    """The span that what happens now belongs to."""
    if _tracer is None:
        return None
    found = otel.get_current_span().get_span_context()
    return _trace(found) if found.is_valid else None


def span(name: str, **attributes: Value) -> AbstractContextManager[object]:
    """What happens within is a span of its own."""
    if _tracer is None:
        return _NOTHING
    return _recorded(_tracer, name, attributes)


def past(name: str, seconds: float, **attributes: Value) -> None:
    """Something took so long, until now."""
    if _tracer is None:
        return
    now = time.time_ns()
    begun = now - int(seconds * 1e9)
    _tracer.start_span(name, start_time=begun, attributes=attributes).end(now)


class Served:
    """A request to the API as a span: the current one for the rest of its task."""

    __slots__ = ("_span",)

    def __init__(self, cause: Trace | None) -> None:
        """Only where spans are made; `cause` is the caller's."""
        if _tracer is None:
            raise RuntimeError("nobody collects spans")
        self._span = _tracer.start_span("request", _after(cause), SpanKind.SERVER)
        context.attach(otel.set_span_in_context(self._span))

    def end(self, method: str, route: str, status: int | None) -> None:
        """It is over. Named as OpenTelemetry names the requests of HTTP servers."""
        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.request.method", method)
        self._span.set_attribute("http.route", route)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if status is None or status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Attempt:
    """A request to a receiver as a span; `traceparent` is what tells the receiver."""

    __slots__ = ("_span", "cause", "traceparent")

    def __init__(self, cause: Trace) -> None:
        self.cause = cause
        self._span: Span | None = None
        if _tracer is None:
            self.traceparent = cause.child().header()
            return
        self._span = _tracer.start_span("attempt", _after(cause), SpanKind.CLIENT)
        self.traceparent = _trace(self._span.get_span_context()).header()

    def end(
        self, status: int | None, error: str | None, **attributes: str | UUID
    ) -> None:
        """It was answered, or failed with an error of ours."""
        if self._span is None:
            return
        self._span.set_attributes({name: str(x) for name, x in attributes.items()})
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


@contextmanager
def _recorded(
    tracer: Tracer, name: str, attributes: dict[str, Value]
) -> Iterator[None]:
    with tracer.start_as_current_span(
        name,
        attributes=attributes,
        # Both would tell what an error says, and it may say what it choked on.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


def _after(cause: Trace | None) -> context.Context:
    """The context in which a span is caused by another one, elsewhere, or by none."""
    if cause is None:
        return context.Context()
    parent = SpanContext(
        int.from_bytes(cause.trace_id),
        int.from_bytes(cause.span_id),
        is_remote=True,
        trace_flags=TraceFlags(cause.is_sampled),
    )
    return otel.set_span_in_context(NonRecordingSpan(parent), context.Context())


def _trace(found: SpanContext) -> Trace:
    return Trace(
        found.trace_id.to_bytes(16),
        found.span_id.to_bytes(8),
        found.trace_flags.sampled,
    )
