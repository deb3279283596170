"""Spans of requests, for whoever collects them, and what the log keeps of them."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from domain import traces
from domain.traces import Trace
from projections import tracing
from tests.integration.http_api.conftest import Account
from tests.support.waiting import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def collected() -> Iterator[InMemorySpanExporter]:
    """The spans that were made since."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.turn_on(provider)
    yield exporter
    tracing.turn_off()


def spans(collected: InMemorySpanExporter, *names: str) -> list[ReadableSpan]:
    """Those of these names, once all of them have ended."""

    def found() -> list[ReadableSpan]:
        ended = {span.name: span for span in collected.get_finished_spans()}
        return [ended[name] for name in names] if ended.keys() >= set(names) else []

    return list(eventually(found))


def test_a_publish_is_part_of_its_publishers_trace(
    account: Account, collected: InMemorySpanExporter
) -> None:
    event = {"type": "a.b", "data": {"secret": "of-a-tenant"}}
    sent = account.client.post(
        "/api/v1/events", json=event, headers={"traceparent": PARENT}
    )
    request, append = spans(collected, "POST /api/v1/events", "append")
    # then
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT.split("-")[2]
    assert append.parent is not None
    assert append.parent.span_id == request.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in (request, append)} == {TRACE}
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/v1/events",
        "http.response.status_code": 202,
    }
    assert kept(account, sent.json()["id"]).span_id.hex() == (
        f"{request.context.span_id:016x}"
    )


def kept(account: Account, event_id: str) -> Trace:
    with account.server.admin() as admin:
        [row] = admin.execute(
            "select trace, tenant_id from daybook.events where event_id = %s",
            [event_id],
        ).fetchall()
    assert row[0] is not None
    return traces.of_event(*row, event_id)


def test_a_request_that_fails_is_marked_and_tells_nothing(
    account: Account, collected: InMemorySpanExporter
) -> None:
    account.client.get(
        "/api/v1/events/of-somebody", headers={"traceparent": "nonsense"}
    )
    [request] = spans(collected, "GET /api/v1/events/{event_id}")
    assert request.parent is None
    assert request.status.is_unset  # 404 is the caller's fault
    assert not request.events
    assert "of-somebody" not in request.to_json()


def test_those_who_watch_make_none(
    account: Account, collected: InMemorySpanExporter
) -> None:
    account.client.get("/health/live")
    account.client.get("/api/v1/me")
    spans(collected, "GET /api/v1/me")
    assert len(collected.get_finished_spans()) == 1


def test_what_fails_within_is_named_by_its_kind(
    collected: InMemorySpanExporter,
) -> None:
    with pytest.raises(ValueError, match="of-a-tenant"), tracing.span("append"):
        raise ValueError("of-a-tenant")
    [span] = collected.get_finished_spans()
    assert not span.status.is_ok
    assert dict(span.attributes or {}) == {"error.type": "ValueError"}
    assert "of-a-tenant" not in span.to_json()


def test_an_attempt_is_what_its_receiver_is_told(
    collected: InMemorySpanExporter,
) -> None:
    cause = traces.parse(PARENT.encode())
    assert cause is not None
    attempt = tracing.Attempt(cause)
    attempt.end(503, "status", webhook="wh_1")
    [span] = collected.get_finished_spans()
    told = traces.parse(attempt.traceparent.encode())
    assert told is not None
    assert (told.trace_id, told.is_sampled) == (cause.trace_id, True)
    assert f"{span.context.span_id:016x}" == told.span_id.hex()
    assert dict(span.attributes or {}) == {
        "webhook": "wh_1",
        "http.response.status_code": 503,
        "error.type": "status",
    }


def test_an_attempt_without_a_collector_is_told_of_all_the_same() -> None:
    cause = traces.parse(PARENT.encode())
    assert cause is not None
    attempt = tracing.Attempt(cause)
    attempt.end(200, None)
    told = traces.parse(attempt.traceparent.encode())
    assert told is not None
    assert told.trace_id == cause.trace_id
    assert told.span_id != cause.span_id


def test_without_a_collector_there_is_nothing() -> None:
    assert not tracing.is_on()
    assert tracing.current() is None
    with tracing.span("append"):
        assert tracing.current() is None
    tracing.past("batch", 1.0)
