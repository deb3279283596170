"""Leaving fields out of JSON text: what is named goes, every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import json_pointer, redaction

CASES = {
    "the only member": ('{"a":1}', ["/a"], "{}"),
    "the first": ('{"a":1,"b":2}', ["/a"], '{"b":2}'),
    "the last": ('{"a":1,"b":2}', ["/b"], '{"a":1}'),
    "in between": ('{"a":1,"b":2,"c":3}', ["/b"], '{"a":1,"c":3}'),
    "the first two": ('{"a":1,"b":2,"c":3}', ["/a", "/b"], '{"c":3}'),
    "the last two": ('{"a":1,"b":2,"c":3}', ["/b", "/c"], '{"a":1}'),
    "all": ('{"a":1,"b":2,"c":3}', ["/a", "/b", "/c"], "{}"),
    "spaces": ('{ "a" : 1 , "b" : 2 , "c" : 3 }', ["/b"], '{ "a" : 1  , "c" : 3 }'),
    "spaces, first": ('{ "a" : 1 , "b" : 2 }', ["/a"], '{ "b" : 2 }'),
    "spaces, last": ('{ "a" : 1 , "b" : 2 }', ["/b"], '{ "a" : 1  }'),
    "spaces, all": ('{ "a" : 1 }', ["/a"], "{  }"),
    "numbers stay": ('{"a":1e2,"b":2,"c":-0.0}', ["/b"], '{"a":1e2,"c":-0.0}'),
    "within": ('{"a":{"b":1,"c":2},"b":3}', ["/a/b"], '{"a":{"c":2},"b":3}'),
    "an object": ('{"a":{"b":[1,{}]},"c":2}', ["/a"], '{"c":2}'),
    "an item": ('{"a":[1,2,3]}', ["/a/1"], '{"a":[1,null,3]}'),
    "every item": ('{"a":[1,{"b":2}]}', ["/a/*"], '{"a":[null,null]}'),
    "of every item": (
        '{"a":[{"b":1,"c":2},{"b":3}]}',
        ["/a/*/b"],
        '{"a":[{"c":2},{}]}',
    ),
    "of every member": ('{"a":{"b":1},"c":{"b":2}}', ["/*/b"], '{"a":{},"c":{}}'),
    "by both": ('{"a":{"b":1,"c":2}}', ["/*/b", "/a/c"], '{"a":{}}'),
    "in what goes": ('{"a":{"b":1}}', ["/a", "/a/b"], "{}"),
    "in what went": ('{"a":{"b":1}}', ["/a/b", "/a"], "{}"),
    "an escaped name": ('{"a\\u0062":1,"c":2}', ["/ab"], '{"c":2}'),
    "a name to escape": ('{"a/b~":1,"c":2}', ["/a~1b~0"], '{"c":2}'),
    "a quote in a name": ('{"a\\"":1,"c":2}', ['/a"'], '{"c":2}'),
    "signs in texts": ('{"x":"{,\\"a\\":[","a":1}', ["/a"], '{"x":"{,\\"a\\":["}'),
    "not there": ('{"b":{"a":1}}', ["/a"], '{"b":{"a":1}}'),
    "through a text": ('{"a":"b"}', ["/a/b"], '{"a":"b"}'),
    "a name by number": ('{"0":1,"1":2}', ["/0"], '{"1":2}'),
    "an empty name": ('{"":1,"b":2}', ["/"], '{"b":2}'),
    "beyond ascii": ('{"é":1,"b":"é"}', ["/é"], '{"b":"é"}'),
    "no field": ('{"a":1}', [], '{"a":1}'),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_named_goes_and_the_rest_stays(name: str) -> None:
    text, fields, expected = CASES[name]
    assert redaction.without(text.encode(), fields).decode() == expected


names = st.sampled_from(["a", "b", "0", "1", "é", "a/b", "\\", '"'])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "a", '{"a":1}', "\\"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=20,
)
pointers = st.lists(names | st.just("*"), min_size=1, max_size=4).map(
    lambda steps: "".join(f"/{json_pointer.escape(step)}" for step in steps)
)


def plainly(value: Any, steps: list[str]) -> Any:
    """The same on values, as plainly as possible."""
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        return {
            name: plainly(child, rest) if rest and step in (name, "*") else child
            for name, child in value.items()
            if rest or step not in (name, "*")
        }
    if isinstance(value, list):
        return [
            (plainly(child, rest) if rest else None)
            if step in (str(number), "*")
            else child
            for number, child in enumerate(value)
        ]
    return value


@given(
    st.dictionaries(names, values, max_size=5),
    st.lists(pointers, max_size=4),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
@example({"a": {"b": {"a": 1}}}, ["/a/b", "/*/b/a"], None, True)
def test_it_is_what_removing_from_the_values_would_give(
    data: dict[str, Any], fields: list[str], indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only).encode()
    expected: Any = data
    for field in fields:
        expected = plainly(expected, json_pointer.tokens(field))
    left = redaction.without(text, fields)
    assert json.loads(left) == expected
    # and what stays stays in order: a text without the fields is passed on as it is
    assert redaction.without(left, fields) == left or "null" in left.decode()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("/card/number", None),
        ("/items/*/iban", None),
        ("", "2 to 256 characters"),
        ("/", "2 to 256 characters"),
        ("/" + "x" * 256, "2 to 256 characters"),
        ("card", "begins with /"),
        ("/a~b", "~0"),
        ("/a\x00", "U+0000"),
    ],
)
def test_fields_are_pointers(field: str, expected: str | None) -> None:
    faults = redaction.check(["/fine", field])
    assert [fault.pointer for fault in faults] == (
        ["#/secret_fields/1"] if expected else []
    )
    assert all(expected in fault.detail for fault in faults if expected)


def test_fields_are_not_too_many() -> None:
    assert redaction.check(["/a"] * 50) == []
    [fault] = redaction.check(["/a"] * 51)
    assert fault.pointer == "#/secret_fields"
