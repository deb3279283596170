"""Received JSON: what is refused, and that the fast way sees all the slow one sees."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain import json_text

# --- the slow reference, which keeps every pair it reads


class Pairs(list[tuple[str, Any]]):
    """An object with all its members, the repeated ones too."""


def is_kept(raw: bytes, max_depth: int = json_text.MAX_DEPTH) -> bool:
    try:
        text = raw.decode()
        tree = json.loads(text, object_pairs_hook=Pairs, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return holds(tree, max_depth)


def refuse(constant: str) -> None:
    raise ValueError(constant)


def holds(node: Any, levels: int) -> bool:
    if isinstance(node, str):
        return "\0" not in node and not any("\ud800" <= c <= "\udfff" for c in node)
    if not isinstance(node, list):
        return True
    if levels == 0:
        return False
    if not isinstance(node, Pairs):
        return all(holds(child, levels - 1) for child in node)
    names = [name for name, _ in node]
    unique = len(set(names)) == len(names)
    children = [child for pair in node for child in pair]
    return unique and all(holds(child, levels - 1) for child in children)


def passes(raw: bytes, max_depth: int = json_text.MAX_DEPTH) -> bool:
    try:
        json_text.check(raw, max_depth=max_depth)
    except json_text.MalformedJson:
        return False
    return True


# --- texts, valid and nearly so, spelled in many ways

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t "])
CHARACTERS = st.sampled_from(
    [
        *("a", "b", ":", ",", "{", "}", "[", "]", "é", "😀", "\x7f", "\u2028"),
        *("\\\\", '\\"', "\\/", "\\n", "\\u0061", "\\u0022", "\\u005c"),
        *("\\ud83d\\ude00", "\\\\u0000", "\\u0000", "\\ud83d", "\\udc00"),
    ]
)
PLAIN = st.sampled_from(["a", "b", "\\u0061", '\\"', "\\\\", ":", "é", "{"])
NUMBERS = st.sampled_from(
    [
        *("0", "-0", "1e2", "1.50", "1e400", "-1E+400", "1e-400", "NaN", "01"),
        *("18446744073709551616", "9" * 400, "0." + "3" * 400),
    ]
)


def strings(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(characters, max_size=4).map(lambda parts: f'"{"".join(parts)}"')


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    padded = st.tuples(SPACE, inner, SPACE).map("".join)
    member = st.tuples(strings(PLAIN), SPACE, st.just(":"), padded).map("".join)
    arrays = st.lists(padded, max_size=4).map(lambda items: f"[{','.join(items)}]")
    objects = st.lists(member, max_size=4).map(lambda items: f"{{{','.join(items)}}}")
    return arrays | objects


SCALARS = st.sampled_from(["1", "true", "false", "null"]) | strings(PLAIN)
LIKELY = st.recursive(SCALARS, containers, max_leaves=12)
WILD = st.recursive(SCALARS | NUMBERS | strings(CHARACTERS), containers, max_leaves=8)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    raw = draw(LIKELY).encode()
    at = draw(st.integers(0, len(raw)))
    put = draw(st.binary(max_size=1) | st.sampled_from([b'"', b"\\", b",", b"{", b"]"]))
    return raw[:at] + put + raw[at + draw(st.integers(0, 2)) :]


@settings(max_examples=400, deadline=None)
@given(LIKELY.map(str.encode) | WILD.map(str.encode) | damaged())
@example(b'{"a":1,"\\u0061":2}')
@example(b'{"a":{"b":[{"c":1,"c":1}]}}')
@example(b'{"a":"\\"","a":"\\\\"}')
@example(b'{"a":[9223372036854775808],"b":1e400}')
def test_the_fast_way_judges_as_the_slow_one(raw: bytes) -> None:
    assert passes(raw) == is_kept(raw)


@settings(max_examples=150, deadline=None)
@given(LIKELY.map(str.encode), st.integers(0, 5))
def test_depth_is_judged_exactly(raw: bytes, max_depth: int) -> None:
    assert passes(raw, max_depth) == is_kept(raw, max_depth)


@settings(max_examples=150, deadline=None)
@given(WILD.map(str.encode))
def test_what_passed_can_be_read(raw: bytes) -> None:
    if passes(raw):
        assert json_text.read(raw) == json.loads(raw)


# --- what each refusal says


REFUSED = {
    b"": "is empty",
    b" \n": "is empty",
    b'{"a":': "ends too early",
    b"{} x": "trailing characters",
    b'{"a":1,}': "trailing comma in object (byte 7)",
    b"NaN": "invalid character (byte 0)",
    b"[Infinity]": "invalid character (byte 1)",
    b"\xef\xbb\xbf{}": "byte order mark",
    b'{"a":"\xff"}': "not UTF-8 (byte 6)",
    b'{"\xed\xa0\x80":1}': "not UTF-8 (byte 2)",
    b'{"a":"\\ud800"}': "half of a surrogate pair",
    b'"\\udc00"': "surrogate pair",
    b'{"a":"\\u0000"}': "U+0000",
    b'{"\\\\\\u0000":1}': "U+0000",
    b'{"a":"\x00"}': "invalid character (byte 6)",
    b'{"a":1,"b":2,"a":1}': 'the member "a" is repeated',
    b'[{"x":{"a":1, "\\u0061":2}}]': 'the member "a" is repeated',
    b"[" * 65 + b"]" * 65: "more than 64 levels",
    b"[" * 100_000: "nested too deeply",
    b"1" * 5_000: "out of range",
}


@pytest.mark.parametrize(
    ("raw", "says"), REFUSED.items(), ids=lambda value: repr(value)[:24]
)
def test_a_refusal_says_what_is_wrong(raw: bytes, says: str) -> None:
    with pytest.raises(json_text.MalformedJson) as caught:
        json_text.check(raw)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b' {"a" : 1e2 } \n',
        b'{"a":"\\\\u0000"}',
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
        b'{"url":"{/a}{/b}' + b"[" * 200 + b'"}',
        b"[" * 64 + b"]" * 64,
        b'{"a":1e400,"b":' + b"7" * 300 + b"}",
        b'"a scalar"',
    ],
)
def test_what_can_be_kept_passes(raw: bytes) -> None:
    json_text.check(raw)


def test_a_deep_text_within_a_dropped_member_is_refused_as_well() -> None:
    deep = b"[" * 900 + b"]" * 900

    with pytest.raises(json_text.MalformedJson):
        json_text.check(b'{"a":' + deep + b',"a":1}')


def test_a_long_name_is_not_repeated_in_full() -> None:
    name = "n" * 10_000

    with pytest.raises(json_text.MalformedJson) as caught:
        json_text.check(f'{{"{name}":1,"{name}":2}}'.encode())

    assert len(caught.value.detail) < 100


def test_msgspec_alone_would_not_read_all_that_is_kept() -> None:
    raw = b"[1e400]"

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw)
    assert json_text.read(raw) == [float("inf")]


def test_the_depth_that_is_told_is_the_contracts() -> None:
    deep = b'{"data":' + b"[" * 65 + b"]" * 65 + b"}"
    with pytest.raises(json_text.MalformedJson, match="more than 64 levels"):
        json_text.check(deep, max_depth=65)
