"""JSON Schemas of tenants: which may be declared, and that their cost is never more."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import effort, json_schema
from domain.errors import Invalid

DOUBLING = {
    "$defs": {
        **{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)},
        "d40": {"type": "object"},
    },
    "$ref": "#/$defs/d0",
}
CHAIN = {
    "$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(500)}
    | {"d500": {"type": "object"}},
    "$ref": "#/$defs/d0",
}


def nested_leftovers(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"a": True}}
    for _ in range(depth):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


REFUSED: dict[str, tuple[Any, str, str]] = {
    "elsewhere": ({"$ref": "https://example.com/x"}, "/$ref", "of this schema"),
    "a file": ({"items": {"$ref": "file:///etc/passwd"}}, "/items/$ref", "of this"),
    "nowhere": ({"properties": {"a": {"$ref": "#/b"}}}, "/properties/a/$ref", "place"),
    "a percent sign": ({"$defs": {"a": {}}, "$ref": "#/%24defs/a"}, "/$ref", "place"),
    "an anchor": ({"$defs": {"a": {"$anchor": "x"}}}, "/$defs/a/$anchor", "pointer"),
    "a dynamic one": ({"$dynamicRef": "#x"}, "/$dynamicRef", "pointer"),
    "an inner id": ({"items": {"$id": "x"}}, "/items/$id", "whole"),
    "through an id": ({"x": {"$id": "y", "z": {}}, "$ref": "#/x/z"}, "/$ref", "place"),
    "another dialect": ({"$schema": "http://json-schema.org/draft-07/schema#"},
                        "/$schema", "2020-12"),
    "itself": ({"$ref": "#"}, "", "itself"),
    "a circle": ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]},
                            "b": {"$ref": "#/$defs/a"}}}, "/$defs/b", "itself"),
    "a circle in no place": ({"x": [{"$ref": "#/x/0"}], "$ref": "#/x/0"}, "/x/0", "itself"),
    "a chain": (CHAIN, "/$defs/d99", "too many"),
    "doubling": (DOUBLING, "", "too long"),
    "leftovers of leftovers": (nested_leftovers(20), "", "too long"),
    "patterns": ({"patternProperties": {f"^{n}": {} for n in range(201)}}, "", "200"),
    "endless": ({"maximum": float("inf")}, "/maximum", "too large"),
    "large": ({"enum": [1, {"a/b": 2**64}]}, "/enum/1/a~1b", "too large"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    schema, place, words = REFUSED[name]
    with pytest.raises(Invalid) as caught:
        json_schema.judge(schema)
    [fault] = caught.value.faults
    assert (fault.pointer, fault.code) == (f"#/schema{place}", "invalid")
    assert words in fault.detail


FINE: dict[str, dict[str, Any]] = {
    "everything": {},
    "a name like a keyword": {"properties": {"$anchor": {}, "$id": {}, "$ref": {}}},
    "a value like a keyword": {"enum": [{"$ref": "nowhere", "$id": "x"}]},
    "the dialect": {"$schema": json_schema.DIALECT, "$id": "https://example.com/a"},
    "a tree": {
        "$defs": {"node": {"properties": {"kids": {"items": {"$ref": "#/$defs/node"}}}}},
        "$ref": "#/$defs/node",
    },
    "whatever the metaschema refuses": {
        "enum": 5, "properties": [], "required": "x", "allOf": {}, "$ref": 5, "items": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
def test_what_is_not_refused_here(name: str) -> None:
    assert json_schema.judge(FINE[name]).of(b"{}", {}) < effort.ROUGH


def test_alternatives_that_nest_cost_more_the_deeper_the_data() -> None:
    # given: a condition that may be taken in two ways at each step
    one = {"properties": {"all": {"items": {"$ref": "#/$defs/c"}}}}
    schema = {"$defs": {"c": {"anyOf": [one, dict(one)]}}, "$ref": "#/$defs/c"}
    counted = json_schema.judge(schema)

    def nested(depth: int) -> int:
        data: dict[str, Any] = {}
        for _ in range(depth):
            data = {"all": [data]}
        return counted.of(json.dumps(data).encode(), data)

    # then
    assert nested(5) < effort.ROUGH
    assert nested(30) > effort.MOST


def test_a_steps_alternatives_under_different_names_do_not_add_up() -> None:
    schema = {
        "$defs": {
            "e": {
                "oneOf": [
                    {"properties": {"left": {"$ref": "#/$defs/e"}}},
                    {"properties": {"right": {"$ref": "#/$defs/e"}}},
                ]
            }
        },
        "$ref": "#/$defs/e",
    }
    looks = json_schema.judge(schema).looks
    assert max(looks) == looks[0]


def test_long_texts_cost_their_length_where_patterns_are() -> None:
    data = {"a": "x" * 100_000}
    raw = json.dumps(data).encode()
    plain = json_schema.judge({"properties": {"a": {"maxLength": 5}}})
    assert plain.of(raw, data) < effort.ROUGH
    patterns = {"allOf": [{"pattern": str(n)} for n in range(20)]}
    costly = json_schema.judge({"properties": {"a": patterns, "b": patterns}})
    assert costly.of(raw, data) > effort.MOST


# Against a count that goes along with the data, as a checker does that takes no short cut.

names = st.sampled_from(["a", "b"])
leaves = st.sampled_from(
    [
        {},
        True,
        {"pattern": "x"},
        {"enum": [[1], 2]},
        {"$ref": "#/$defs/d"},
        {"required": ["a", "b"]},
    ]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(names, inner, max_size=2),
            "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "not": inner,
            "dependentSchemas": st.dictionaries(names, inner, max_size=1),
        },
    ),
    max_leaves=8,
)
wholes = st.fixed_dictionaries(
    {
        "$defs": st.fixed_dictionaries({"d": schemas}),
        "properties": st.dictionaries(names, schemas),
    }
)
values = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2)
    ),
    max_leaves=8,
)


def looked_at(whole: Any, schema: Any, data: Any) -> int:
    """How many subschemas are applied to `data` and what is in it, all told."""
    if not isinstance(schema, dict):
        return 1
    here = [*schema.get("allOf", ()), *([schema["not"]] if "not" in schema else ())]
    if "$ref" in schema:
        here.append(whole["$defs"]["d"])
    total = 1 + sum(looked_at(whole, one, data) for one in here)
    if isinstance(data, dict):
        return total + of_members(whole, schema, data)
    return total + (of_items(whole, schema, data) if isinstance(data, list) else 0)


def of_members(whole: Any, schema: Any, data: dict[str, Any]) -> int:
    total = 0
    for name, one in schema.get("dependentSchemas", {}).items():
        total += looked_at(whole, one, data) if name in data else 0
    for name, value in data.items():
        applied = (
            [schema["properties"][name]] if name in schema.get("properties", {}) else []
        )
        if name == "a":
            applied += schema.get("patternProperties", {}).values()
        if not applied and "additionalProperties" in schema:
            applied.append(schema["additionalProperties"])
        total += sum(looked_at(whole, one, value) for one in applied)
    return total


def of_items(whole: Any, schema: Any, data: list[Any]) -> int:
    first = schema.get("prefixItems", [])
    rest = [schema["items"]] * len(data) if "items" in schema else []
    applied = [*first[: len(data)], *rest[len(first) :]]
    return sum(
        looked_at(whole, one, value) for one, value in zip(applied, data, strict=False)
    )


@given(wholes, values)
def test_no_check_costs_more_than_was_counted_out(whole: Any, data: Any) -> None:
    try:
        counted = json_schema.judge(whole)
    except Invalid as error:
        assert "itself" in error.faults[0].detail
        return
    raw = json.dumps(data, separators=(",", ":")).encode()
    looks = looked_at(whole, whole, data)
    assert looks <= counted.of(raw, data)
    assert looks <= counted._counted(data)
