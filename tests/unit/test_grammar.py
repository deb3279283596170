"""Names and texts at and just beyond their limits."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import grammar
from domain.errors import Fault

Check = Callable[[str], list[Fault]]

GOOD: dict[Check, list[str]] = {
    grammar.check_type: ["a", "heures.validated", "A-1_b.C", "a" * 128, "daybook.x"],
    grammar.check_published_type: ["daybooks.x", "daybook-x", "x.daybook", "Daybook.x"],
    grammar.check_stream: [
        "a",
        "heures/77",
        "a/.b/..c/d.",
        "...",
        "a:b@c+d=e~f_g-h",
        "s" * 256,
    ],
    grammar.check_event_id: ["12345678", "a_b-C_d-9", "x" * 64],
    grammar.check_subject: ["worker/12", "Zoé 😀", " ", "s" * 256],
    grammar.check_source: ["/daybook", "https://a.example/b?c#d", "urn:x:y", "é"],
    grammar.check_name: ["payroll", "Zoé's hooks", "n" * 128],
    grammar.check_description: ["", "two\nlines\t", "d" * 1024],
}

BAD: dict[Check, list[str]] = {
    grammar.check_type: ["", ".", "a.", ".a", "a..b", "a b", "é", "a\n", "a" * 129],
    grammar.check_published_type: ["", "a.*", "*", "a\0"],
    grammar.check_stream: [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/.",
        "a/../b",
        "./a",
        "$tenants",
        "a b",
        "a\n",
        "é",
        "a%2Fb",
        "s" * 257,
    ],
    grammar.check_event_id: ["1234567", "x" * 65, "1234.5678", "12345678\n", "é" * 8],
    grammar.check_subject: ["", "a\0b", "a\nb", "\x7f", "\x85", "s" * 257],
    grammar.check_source: ["", "a b", "a\u00a0b", "a\tb", "\0", "a\u2028b", "s" * 257],
    grammar.check_name: ["", "two\nlines", "\0", "n" * 129],
    grammar.check_description: ["\0", "d" * 1025],
}


def each(table: dict[Check, list[str]]) -> list[tuple[Check, str]]:
    return [(check, text) for check, texts in table.items() for text in texts]


@pytest.mark.parametrize(("check", "text"), each(GOOD))
def test_a_good_text_has_no_fault(check: Check, text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(("check", "text"), each(BAD))
def test_a_bad_text_has_one_fault(check: Check, text: str) -> None:
    [fault] = check(text)

    assert fault.code == "invalid"
    assert fault.detail


@pytest.mark.parametrize("event_type", ["daybook", "daybook.x", "daybook.webhook.a"])
def test_our_types_are_not_for_publishing(event_type: str) -> None:
    [fault] = grammar.check_published_type(event_type, "#/events/3/type")

    assert fault[:2] == ("#/events/3/type", "type_reserved")


@settings(max_examples=200, deadline=None)
@given(st.text("a.~$é /\n", max_size=8))
def test_a_stream_is_good_when_its_segments_are(text: str) -> None:
    segments = text.split("/")
    good = all(
        re.fullmatch("[a.~]+", segment) and segment not in {".", ".."}
        for segment in segments
    )

    assert (grammar.check_stream(text) == []) == good


def metadata(entries: int, key: int = 8) -> bytes:
    return json.dumps({f"{n:0{key}}": n for n in range(entries)}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"urgent": true, "deep": {"any": ["JSON", 1, null]}}',
        metadata(50),
        metadata(1, key=64),
        b'{"a":"' + b"x" * (8192 - 8) + b'"}',
    ],
)
def test_good_metadata_has_no_fault(raw: bytes) -> None:
    assert grammar.check_metadata(raw) == []


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"[]", "is an object"),
        (b'"x"', "is an object"),
        (metadata(51), "50 entries"),
        (metadata(1, key=65), "key"),
        (b'{"":1}', "key"),
        (b'{"a":"' + b"x" * (8192 - 7) + b'"}', "8,192 bytes"),
        (b'{"a":"\\u0000"}', "U+0000"),
        (b'{"a":1,"a":2}', "repeated"),
        (b"{", "too early"),
    ],
)
def test_bad_metadata_has_one_fault(raw: bytes, says: str) -> None:
    [fault] = grammar.check_metadata(raw, "#/metadata")

    assert fault[:2] == ("#/metadata", "invalid")
    assert says in fault.detail
