"""Bodies: the members in order, the stored bytes untouched, always the same bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks import body
from domain.webhooks.settings import Format

EVENT = body.Event(
    id="evt_01",
    type="heures.validated",
    occurred_at=datetime(2026, 11, 20, 7, 59, 58, 120_000, tzinfo=UTC),
    data=b'{"minutes":480}',
    stream="heures/77",
    version=3,
    position=1042,
    subject="worker/12",
    tenant_id="ten_01",
    metadata=b'{"site":"LL"}',
)


def test_the_body_is_that_of_the_contract() -> None:
    assert body.standard(EVENT) == (
        b'{"id":"evt_01","type":"heures.validated",'
        b'"timestamp":"2026-11-20T07:59:58.120000Z","data":{"minutes":480},'
        b'"stream":"heures/77","version":3,"position":1042,"subject":"worker/12",'
        b'"tenant_id":"ten_01","metadata":{"site":"LL"}}'
    )


def test_what_an_event_lacks_is_null() -> None:
    bare = msgspec.structs.replace(EVENT, stream=None, version=None, subject=None)

    rendered = json.loads(body.standard(bare))

    assert [rendered[name] for name in ("stream", "version", "subject")] == [None] * 3


@pytest.mark.parametrize(
    "stored",
    [
        b'{ "a" :\n1e2 ,\t"b": 1.50, "\\u0061\\/": "\\u00e9" }',
        b'{"n":123456789012345678901234567890,"x":1e400,"z":-0}',
        '{"é":"😀\u2028"}'.encode(),
        b"null",
    ],
)
def test_stored_bytes_are_never_re_encoded(stored: bytes) -> None:
    event = msgspec.structs.replace(EVENT, data=stored, metadata=stored)

    rendered = body.standard(event)

    assert b'"data":' + stored + b',"stream"' in rendered
    assert rendered.endswith(b'"metadata":' + stored + b"}")


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0))
def test_the_same_event_is_the_same_bytes(subject: str, position: int) -> None:
    def render() -> bytes:
        position_ = position % 2**53
        copy = msgspec.structs.replace(EVENT, subject=subject, position=position_)
        return body.standard(copy)

    first, second = render(), render()

    assert first == second
    assert json.loads(first)["subject"] == subject


def test_the_time_is_written_in_utc() -> None:
    paris = timezone(timedelta(hours=1))
    event = msgspec.structs.replace(
        EVENT, occurred_at=datetime(2026, 11, 20, 9, 0, tzinfo=paris)
    )

    rendered = json.loads(body.standard(event))

    assert rendered["timestamp"] == "2026-11-20T08:00:00.000000Z"


FULL = msgspec.structs.replace(
    EVENT,
    source="https://erp.example/line 7",
    source_id="A-17",
    correlation_id="evt_00",
    causation_id="evt_02",
)
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "A-17",
    "source": "https://erp.example/line 7",
    "type": "heures.validated",
    "time": datetime(2026, 11, 20, 7, 59, 58, 120_000, tzinfo=UTC),
    "datacontenttype": "application/json",
    "tenantid": "ten_01",
    "subject": "worker/12",
    "stream": "heures/77",
    "streamversion": "3",
    "position": "1042",
    "correlationid": "evt_00",
    "causationid": "evt_02",
}


def received(rendered: body.Rendered) -> BaseCloudEvent:
    """As the CloudEvents project's own library reads it."""
    headers = {"content-type": rendered.content_type, **rendered.headers}
    return from_http_event(HTTPMessage(headers, rendered.body))


CLOUDEVENTS: list[Format] = ["cloudevents", "cloudevents_binary"]


@pytest.mark.parametrize("format_", CLOUDEVENTS)
def test_another_library_reads_our_cloudevents(format_: Format) -> None:
    event = received(body.render(FULL, format_))

    assert event.get_attributes() == ATTRIBUTES
    assert event.get_data() == {"minutes": 480}


@pytest.mark.parametrize("format_", CLOUDEVENTS)
def test_what_a_cloudevent_lacks_is_left_out(format_: Format) -> None:
    bare = msgspec.structs.replace(
        EVENT, stream=None, version=None, position=None, subject=None
    )

    attributes = received(body.render(bare, format_)).get_attributes()

    assert (attributes["id"], attributes["source"]) == ("evt_01", "/daybook")
    assert attributes.keys() == {
        "specversion", "id", "source", "type", "time", "datacontenttype", "tenantid"
    }  # fmt: skip


def test_a_structured_cloudevent() -> None:
    rendered = body.render(FULL, "cloudevents")

    assert rendered.content_type == "application/cloudevents+json"
    assert rendered.headers == {}
    assert rendered.body == (
        b'{"specversion":"1.0","id":"A-17","source":"https://erp.example/line 7",'
        b'"type":"heures.validated","time":"2026-11-20T07:59:58.120000Z",'
        b'"datacontenttype":"application/json","tenantid":"ten_01",'
        b'"subject":"worker/12","stream":"heures/77","streamversion":"3",'
        b'"position":"1042","correlationid":"evt_00","causationid":"evt_02",'
        b'"data":{"minutes":480}}'
    )


def test_a_binary_cloudevent() -> None:
    rendered = body.render(FULL, "cloudevents_binary")

    assert rendered.content_type == "application/json"
    assert rendered.body == b'{"minutes":480}'
    assert rendered.headers["ce-source"] == "https://erp.example/line%207"
    assert rendered.headers["ce-time"] == "2026-11-20T07:59:58.120000Z"
    assert "ce-datacontenttype" not in rendered.headers


def test_raw_is_the_data_alone() -> None:
    assert body.render(EVENT, "raw") == ("application/json", {}, b'{"minutes":480}')


def test_standard_is_what_it_was() -> None:
    expected = ("application/json", {}, body.standard(EVENT))

    assert body.render(EVENT, "standard") == expected


# Section 3.1.3.2 of the binding has the first one.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ('100% "sure"', "100%25%20%22sure%22"),
        ("a/b?c=d&e#f;g,h!~", "a/b?c=d&e#f;g,h!~"),
        ("\x00\r\n\x7f", "%00%0D%0A%7F"),
    ],
)
def test_a_header_holds_what_a_header_may(text: str, value: str) -> None:
    assert body.header_value(text) == value


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT)
def test_any_text_survives_both_modes(subject: str, source_id: str) -> None:
    event = msgspec.structs.replace(EVENT, subject=subject, source_id=source_id)
    for format_ in CLOUDEVENTS:
        attributes = received(body.render(event, format_)).get_attributes()
        assert (attributes["subject"], attributes["id"]) == (subject, source_id)


@pytest.mark.parametrize("format_", ["raw", *CLOUDEVENTS])
def test_no_format_re_encodes(format_: Format) -> None:
    stored = b'{ "a" :\n1e2 ,"n":123456789012345678901234567890,"x":1e400 }'
    event = msgspec.structs.replace(EVENT, data=stored)

    assert stored in body.render(event, format_).body
