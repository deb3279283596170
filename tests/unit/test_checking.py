"""Data against compiled schemas: what breaks them, where, and how it is said."""

from typing import Any

import pytest

from api.checking import Checker
from domain.errors import Fault, Invalid

HOURS = {
    "type": "object",
    "properties": {
        "minutes": {"type": "integer", "minimum": 1, "maximum": 1440},
        "site": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "rate": {"multipleOf": 0.01},
        "a/b": {"items": {"type": "string"}},
    },
    "required": ["minutes"],
    "additionalProperties": False,
}


def broken(schema: Any, raw: bytes) -> list[str]:
    return [fault.pointer for fault in Checker(schema).faults(raw, "#/data")]


@pytest.mark.parametrize(
    ("raw", "places"),
    [
        (b'{"minutes":480,"site":"LL","rate":19.99}', []),
        (b'{"minutes":1440.0}', []),
        (b'{"minutes":0,"site":"L"}', ["#/data/minutes", "#/data/site"]),
        (b'{"minutes":1.5}', ["#/data/minutes"]),
        (b'{"minutes":true}', ["#/data/minutes"]),
        (b'{"minutes":1e400}', ["#/data/minutes"]),
        (b'{"minutes":1,"rate":0.001}', ["#/data/rate"]),
        (b'{"minutes":1,"a/b":["x",1]}', ["#/data/a~1b/1"]),
        (b"{}", ["#/data/minutes"]),
        (b'{"minutes":1,"x":1,"y":2}', ["#/data/x", "#/data/y"]),
    ],
)
def test_where_data_breaks_the_schema(raw: bytes, places: list[str]) -> None:
    assert broken(HOURS, raw) == places
    assert Checker(HOURS).keeps(raw) == (not places)


def test_messages_show_no_values() -> None:
    raw = b'{"minutes":"s3cret","site":"s3cret"}'
    faults = Checker(HOURS).faults(raw, "#/data")
    assert {fault.code for fault in faults} == {"schema_violation"}
    assert not any("s3cret" in fault.detail for fault in faults)


def test_messages_are_short() -> None:
    schema = {"properties": {"a": {"const": "x" * 5000}, "b": {"enum": ["y" * 5000]}}}
    faults = Checker(schema).faults(b'{"a":1,"b":1}', "#/data")
    assert len(faults) == 2
    assert all(len(fault.detail) < 300 for fault in faults)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "objet"}, "/type"),
        ({"properties": 5}, "/properties"),
        ({"properties": {"a": {"minLength": -1}}}, "/properties/a/minLength"),
        ({"pattern": "["}, "/pattern"),
        ({"patternProperties": {"(?=a)b": {}}}, "/patternProperties"),
        ({"pattern": "(a)\\1"}, "/pattern"),
        ({"items": {"pattern": "a{10000}"}}, "/items/pattern"),
        ({"$ref": "https://example.com/x"}, "/$ref"),
        ({"enum": 5}, "/enum"),
        ({"$ref": "#/enum/0", "enum": [1]}, ""),
    ],
)
def test_schemas_that_are_none(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as caught:
        Checker(schema)
    [fault] = caught.value.faults
    assert fault.pointer.startswith(f"#/schema{place}")
    assert "\n" not in fault.detail


def test_formats_are_annotations() -> None:
    assert broken({"properties": {"a": {"format": "email"}}}, b'{"a":"x"}') == []


def test_a_hundred_faults_are_listed() -> None:
    schema = {"properties": {"a": {"items": {"type": "string"}}}}
    raw = b'{"a":[' + b",".join([b"1"] * 500) + b"]}"
    assert len(broken(schema, raw)) == 100


def test_of_much_data_the_first_fault_or_none_is_placed() -> None:
    schema = {"properties": {"a": {"items": {"type": "string"}}}}
    checker = Checker(schema)

    def first(count: int) -> list[Fault]:
        raw = b'{"a":[' + b",".join([b"1"] * count) + b"]}"
        return checker.faults(raw, "#/data")

    assert [fault.pointer for fault in first(40_000)] == ["#/data/a/0"]
    assert [fault.pointer for fault in first(120_000)] == ["#/data"]


def test_what_would_take_too_long_is_not_tried() -> None:
    # given: each level may be taken in two ways, so the checker would look 2^60 times
    one = {"properties": {"x": {"$ref": "#/$defs/n"}}, "required": ["y"]}
    schema = {"$defs": {"n": {"anyOf": [one, dict(one)]}}, "$ref": "#/$defs/n"}
    raw = b'{"x":' * 60 + b"{}" + b"}" * 60
    # then
    [fault] = Checker(schema).faults(raw, "#/data")
    assert (fault.pointer, fault.code) == ("#/data", "schema_violation")
    assert "too long" in fault.detail
    assert not Checker(schema).keeps(raw)
    assert broken(schema, b'{"x":{"y":1},"y":1}') == []
