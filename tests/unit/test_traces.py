"""Traces: the examples and the rules of W3C Trace Context, and what events begin."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import traces
from domain.traces import Trace

TENANT = UUID(int=7)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_and_back() -> None:
    found = traces.parse(GOOD.encode())
    assert found == Trace(bytes.fromhex(TRACE), bytes.fromhex(SPAN), is_sampled=True)
    assert found.header() == GOOD


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-03", "01"),  # flags that we do not know are not passed on
        (f"00-{TRACE}-{SPAN}-02", "00"),
        (f"cc-{TRACE}-{SPAN}-01", "01"),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", "01"),
    ],
)
def test_what_is_sent_on_is_version_00(header: str, flags: str) -> None:
    found = traces.parse(header.encode())
    assert found is not None
    assert found.header() == f"00-{TRACE}-{SPAN}-{flags}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" {GOOD}",
        f"{GOOD},{GOOD}",
        f"00-{TRACE}-{SPAN}-0x",
    ],
)
def test_anything_else_is_ignored(header: str) -> None:
    assert traces.parse(header.encode()) is None


@given(st.binary())
def test_nothing_breaks_it(header: bytes) -> None:
    found = traces.parse(header)
    assert found is None or traces.parse(found.header().encode()) == found


@given(st.binary(min_size=16), st.binary(min_size=8), st.booleans())
def test_what_the_log_keeps_is_all_of_it(
    trace_id: bytes, span_id: bytes, is_sampled: bool
) -> None:
    kept = Trace(trace_id[:16], span_id[:8], is_sampled)
    packed = kept.packed()
    assert len(packed) == traces.BYTES
    assert traces.of_event(packed, TENANT, "evt_1") == kept


def test_a_child_is_another_span_of_the_same_trace() -> None:
    parent = traces.of_event(None, TENANT, "evt_1")
    children = [parent.child() for _ in range(3)]
    assert {child.trace_id for child in children} == {parent.trace_id}
    assert len({child.span_id for child in (parent, *children)}) == 4


def test_an_event_without_one_begins_its_own() -> None:
    begun = traces.of_event(None, TENANT, "evt_1")
    assert begun == traces.of_event(None, TENANT, "evt_1")
    assert traces.parse(begun.header().encode()) == begun
    assert not begun.is_sampled
    others = [(TENANT, "evt_2"), (UUID(int=8), "evt_1")]
    begun_by = {traces.of_event(None, *other).trace_id for other in others}
    assert len({begun.trace_id, *begun_by}) == 3
