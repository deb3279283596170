"""Where spans go: to a collector, when one is named; one that is away keeps nobody."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from projections import tracing
from tests.support.collecting import collecting
from workers import spans

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def make_one() -> None:
    with spans.exporting("daybook-test"), tracing.span("append"):
        assert tracing.is_on()


@pytest.mark.parametrize(
    ("named", "service"), [("", "daybook-test"), ("their-name", "their-name")]
)
async def test_spans_are_sent_before_the_end(
    monkeypatch: pytest.MonkeyPatch, named: str, service: str
) -> None:
    async with collecting() as (collected, url):
        monkeypatch.setenv(ENDPOINT, url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", named)
        await asyncio.to_thread(make_one)
    assert collected.spans == {service: {"append"}}
    assert not tracing.is_on()


def test_a_collector_that_is_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    begun = time.monotonic()
    make_one()
    assert time.monotonic() - begun < 2 * spans.PATIENCE_SECONDS


def test_nothing_is_made_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    with spans.exporting("daybook-test"):
        assert not tracing.is_on()


def test_without_the_extra_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setattr(spans, "IS_INSTALLED", False)
    with capture_logs() as lines, spans.exporting("daybook-test"):
        assert not tracing.is_on()
    assert [line["event"] for line in lines] == ["tracing_not_installed"]
