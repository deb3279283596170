"""Bodies: the members in order, the stored bytes untouched, always the same bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks import body

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
