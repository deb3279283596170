"""Payload filters: what holds on which event, what is no filter, and why not."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import payload_filter, payload_path
from domain.errors import Invalid
from domain.payload_path import Members
from tests.support.documents import blocks
from tests.support.source import ROOT

DATA = """{
    "minutes": 480, "cost": 1000.50, "name": "Gr\\u00fce", "ok": true, "note": null,
    "zero": 0, "huge": 1e400, "big": 123456789012345678901234567890, "a.b": 1,
    "site": {"id": 7, "tags": ["red", "blue", 3, true, null]}, "0": "nought",
    "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 20}, 5], "matrix": [[1, 2], [3]],
    "none": [], "empty": {}, "~": "tilde", "/": "slash"
}"""


def event(data: str = DATA, **members: Any) -> Members:
    given_ = {
        "type": "heures.validated",
        "stream": "heures/77",
        "subject": None,
        "source": None,
        "actor": "key:key_01",
        "data": data.encode(),
        "metadata": b'{"urgent":true}',
    }
    return Members(**(given_ | members))


def holds(value: Any, members: Members | None = None) -> bool:
    found = payload_filter.read(value)
    members = members or event()
    answer = found.holds(members)
    assert (found.explain(members) is None) is answer
    return answer


HOLD: list[dict[str, Any]] = [
    {},
    {"data.minutes": 480},
    {"data.minutes": 480.0},
    {"data.minutes": {"$gt": 479.999, "$lte": 480}},
    {"data.cost": 1000.5},
    {"data.ok": True},
    {"data.note": None},
    {"data.note": {"$exists": True}},
    {"data.nothing": {"$exists": False}},
    {"data.nothing": {"$ne": 1}},
    {"data.nothing": {"$nin": [None]}},
    {"data.name": {"$prefix": "Grü"}},
    {"data.name": {"$prefix": ""}},
    {"data.name": {"$gt": "Gr", "$lt": "Gs"}},
    {"data.huge": {"$gt": 10**300}},
    {"data.big": 123456789012345678901234567890},
    {"data.big": {"$gt": 123456789012345678901234567889}},
    {"/data/a.b": 1},
    {"/data/~0": "tilde", "/data/~1": "slash"},
    {"data.0": "nought"},
    {"data.site.id": {"$in": [1, 7.0, "x"]}},
    {"data.site.id": {"$nin": ["7", True]}},
    {"data.site.tags": "red"},
    {"data.site.tags": 3},
    {"data.site.tags": True},
    {"data.site.tags": None},
    {"data.site.tags.1": "blue"},
    {"data.site.tags.1": {"$ne": "red"}},
    {"data.site.tags": {"$ne": "green"}},
    {"data.lines.sku": "b"},
    {"data.lines.n": {"$gte": 20}},
    {"data.lines.0.n": 1},
    {"data.lines": 5},
    {"data.lines.sku": {"$ne": "c"}},
    {"data.matrix": 3},
    {"data.matrix.0": 2},
    {"data.matrix.0.1": 2},
    {"data.none": {"$exists": True}},
    {"data.none": {"$ne": 1}},
    {"data.empty": {"$exists": True}},
    {"data": {"$exists": True}},
    {"metadata.urgent": True},
    {"type": "heures.validated"},
    {"type": {"$prefix": "heures."}},
    {"stream": {"$prefix": "heures/"}},
    {"source": "/daybook"},
    {"subject": None},
    {"actor.type": "key", "actor.id": "key_01"},
    {"$and": [{"data.ok": True}, {"data.zero": 0}]},
    {"$or": [{"data.ok": False}, {"data.zero": 0}]},
    {"$not": {"data.ok": False}},
    {"data.ok": True, "$or": [{"data.x": 1}, {"metadata.urgent": True}]},
]

REFUSE: list[tuple[dict[str, Any], str]] = [
    ({"data.minutes": {"$gt": 480}}, "/data.minutes/$gt: 480 is not more than 480"),
    ({"data.minutes": 1}, "/data.minutes: 480 is not 1"),
    ({"data.minutes": "480"}, '/data.minutes: 480 is not "480"'),
    ({"data.minutes": {"$lt": "481"}}, '/data.minutes/$lt: 480 is not less than "481"'),
    ({"data.minutes": {"$ne": 480.0}}, "/data.minutes/$ne: 480 is 480.0"),
    ({"data.ok": 1}, "/data.ok: true is not 1"),
    ({"data.ok": {"$gte": True}}, "/data.ok/$gte: true is not at least true"),
    ({"data.zero": False}, "/data.zero: 0 is not false"),
    ({"data.zero": None}, "/data.zero: 0 is not null"),
    ({"data.note": 0}, "/data.note: null is not 0"),
    ({"data.note": {"$lte": None}}, "/data.note/$lte: null is not at most null"),
    ({"data.note": {"$exists": False}}, "/data.note/$exists: it is there"),
    ({"data.x": {"$exists": True}}, "/data.x/$exists: it is missing"),
    ({"data.x": None}, "/data.x: it is missing"),
    ({"data.x": {"$gt": 1}}, "/data.x/$gt: it is missing"),
    ({"data.ok.x": {"$in": [1]}}, "/data.ok.x/$in: it is missing"),
    ({"/data/a.b": 2}, "/~1data~1a.b: 1 is not 2"),
    ({"data.a.b": 1}, "/data.a.b: it is missing"),
    (
        {"data.name": {"$prefix": "grü"}},
        '/data.name/$prefix: "Grüe" does not begin with "grü"',
    ),
    (
        {"data.minutes": {"$prefix": ""}},
        '/data.minutes/$prefix: 480 does not begin with ""',
    ),
    ({"data.huge": {"$lt": 1e308}}, "/data.huge/$lt: 1E+400 is not less than 1e308"),
    ({"data.site": 7}, None),
    (
        {"data.site.tags": {"$in": ["x", 1]}},
        '/data.site.tags/$in: no element of ["red","blue",3,true,null] is one of ["x",1]',
    ),
    (
        {"data.site.tags": {"$nin": ["x", 3]}},
        '/data.site.tags/$nin: an element of ["red","blue",3,true,null] is one of ["x",3]',
    ),
    ({"data.site.tags.5": {"$exists": True}}, "/data.site.tags.5/$exists: it is missing"),
    ({"data.site.tags.00": "red"}, "/data.site.tags.00: it is missing"),
    ({"data.lines.n": {"$gt": 20}},
     "/data.lines.n/$gt: no element of [1,20] is more than 20"),
    ({"data.lines.sku": {"$ne": "b"}},
     '/data.lines.sku/$ne: an element of ["a","b"] is "b"'),
    ({"data.none": 1}, "/data.none: no element of [] is 1"),
    ({"data.empty": 1}, "/data.empty: {} is not 1"),
    ({"subject": "worker/1"}, '/subject: null is not "worker/1"'),
    ({"type.x": 1}, "/type.x: it is missing"),
    ({"$and": [{}, {"data.zero": 1}]}, "/$and/1/data.zero: 0 is not 1"),
    ({"$or": [{"data.zero": 1}, {"data.x": 1}]}, "/$or: none of its 2 filters holds"),
    ({"$not": {"data.zero": 0}}, "/$not: its filter holds"),
    ({"$not": {}}, "/$not: its filter holds"),
]  # fmt: skip


@pytest.mark.parametrize("value", HOLD, ids=json.dumps)
def test_what_holds(value: dict[str, Any]) -> None:
    assert holds(value)
    assert not holds({"$not": value})


@pytest.mark.parametrize(("value", "why"), REFUSE, ids=str)
def test_what_refuses_and_why(value: dict[str, Any], why: str | None) -> None:
    assert not holds(value)
    assert holds({"$not": value})
    if why:
        assert payload_filter.read(value).explain(event()) == why


def test_a_long_value_is_cut() -> None:
    members = event(json.dumps({"text": "x" * 200}))
    why = payload_filter.read({"data.text": "y"}).explain(members)
    assert why == f'/data.text: "{"x" * 79}... is not "y"'


def test_the_contracts_example() -> None:
    value = {
        "data.priorite": {"$in": ["haute", "critique"]},
        "$or": [{"data.cout": {"$gte": 1000}}, {"metadata.urgent": True}],
    }
    assert holds(value, event('{"priorite":"haute"}'))
    assert holds(value, event('{"priorite":"haute","cout":1e3}', metadata=b"{}"))
    assert not holds(value, event('{"priorite":"haute","cout":999}', metadata=None))
    assert not holds(value, event('{"priorite":"basse","cout":1e3}'))


WRONG: list[tuple[Any, list[str]]] = [
    ([], [""]),
    ("x", [""]),
    ({"$nor": []}, ["/$nor"]),
    ({"$and": []}, ["/$and"]),
    ({"$or": {}}, ["/$or"]),
    ({"$or": [1, {}, []]}, ["/$or/0", "/$or/2"]),
    ({"$not": []}, ["/$not"]),
    ({"data.x": {}}, ["/data.x"]),
    ({"data.x": []}, ["/data.x"]),
    ({"data.x": {"minutes": 1}}, ["/data.x/minutes"]),
    ({"data.x": {"$regex": "a", "$gt": []}}, ["/data.x/$regex", "/data.x/$gt"]),
    ({"data.x": {"$in": []}}, ["/data.x/$in"]),
    ({"data.x": {"$in": 1}}, ["/data.x/$in"]),
    ({"data.x": {"$in": [1, [2]]}}, ["/data.x/$in"]),
    ({"data.x": {"$nin": [{}]}}, ["/data.x/$nin"]),
    ({"data.x": {"$prefix": 1}}, ["/data.x/$prefix"]),
    ({"data.x": {"$exists": 1}}, ["/data.x/$exists"]),
    ({"data.x": {"$eq": float("inf")}}, ["/data.x/$eq"]),
    ({"payload.x": 1}, ["/payload.x"]),
    ({"": 1}, ["/"]),
    ({"data..x": 1, "data.": 1}, ["/data..x", "/data."]),
    ({"/data/~2": 1, "/x": 1}, ["/~1data~1~02", "/~1x"]),
    ({"$not": {"$not": {"$not": {"$not": {"$not": {}}}}}}, ["/$not" * 5]),
    ({"data.x": "y" * 4096}, [""]),
    ({f"data.{n}": n for n in range(51)}, [""]),
]


@pytest.mark.parametrize(("value", "places"), WRONG, ids=lambda one: str(one)[:40])
def test_what_is_no_filter(value: Any, places: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        payload_filter.read(value)
    found = payload_filter.check(value)
    assert [fault.pointer for fault in found] == [f"#/filter{at}" for at in places]
    assert caught.value.code == "filter_invalid"


def test_none_is_no_filter_and_no_fault() -> None:
    assert payload_filter.check(None) == []


def test_the_largest_filters_are_fine() -> None:
    deepest = {"$not": {"$not": {"$not": {"$not": {"data.x": 1}}}}}
    most = {f"data.{n}": n for n in range(50)}
    longest = {"data.x": "y" * (4096 - len('{"data.x":""}'))}
    for value in (deepest, most, longest):
        assert payload_filter.check(value) == []


def test_an_event_with_too_many_values_is_not_wanted() -> None:
    enough = event(json.dumps({"n": [0] * (payload_path.MOST_VALUES // 2)}))
    too_many = event(json.dumps({"n": [0] * (payload_path.MOST_VALUES // 2 + 1)}))
    value = payload_filter.read({"data.n": {"$ne": 1}})
    assert value.holds(enough)
    assert not value.holds(too_many)
    assert "20,000 values" in (value.explain(too_many) or "")


def test_data_is_read_only_by_those_who_look() -> None:
    broken = event("{")
    assert holds({"type": {"$prefix": "heures."}}, broken)
    with pytest.raises(msgspec.DecodeError):
        payload_filter.read({"data.x": 1}).holds(broken)


def test_numbers_out_of_all_reach() -> None:
    members = event('{"a":1e99999999999999999999,"b":-1e99999999999999999999,'
                    '"c":1e-99999999999999999999,"d":0e99999999999999999999}')  # fmt: skip
    assert holds({"data.a": {"$gt": 1e308}, "data.b": {"$lt": -1e308}}, members)
    assert holds({"data.c": 0, "data.d": 0}, members)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.1, 1.0, -0.0, 1e22])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "0", "1"]), inner, max_size=3)
    ),
    max_leaves=8,
)
OPS = st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
PATHS = st.sampled_from(["data.a", "data.a.b", "data.0", "data.a.0", "data.a.1.a"])


def plain(value: Any, steps: list[str]) -> list[Any]:
    """What a path leads to, told as slowly and plainly as can be."""
    if not steps:
        return [value]
    name, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        return plain(value[name], rest) if name in value else []
    if isinstance(value, list):
        if name.isdigit():
            return plain(value[int(name)], rest) if int(name) < len(value) else []
        return [found for element in value for found in plain(element, steps)]
    return []


def flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for element in value for leaf in flat(element)]
    return [value]


def compares(op: str, one: Any, other: Any) -> bool:
    def kind(value: Any) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return "number" if is_number else type(value).__name__

    if kind(one) != kind(other) or kind(one) in ("dict", "list"):
        return False
    if kind(one) == "number":
        one, other = Decimal(repr(one)), Decimal(repr(other))
    if op == "$eq":
        return bool(one == other)
    if kind(one) in ("bool", "NoneType"):
        return False
    return bool(
        {"$gt": one > other, "$gte": one >= other, "$lt": one < other,
         "$lte": one <= other}[op]
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(VALUES, PATHS, OPS, SCALARS)
def test_it_is_what_the_plain_telling_of_it_says(
    data: Any, path: str, op: str, operand: Any
) -> None:
    members = event(msgspec.json.encode(data).decode())
    leaves = [x for value in plain(data, path.split(".")[1:]) for x in flat(value)]
    if op == "$ne":
        expected = not any(compares("$eq", leaf, operand) for leaf in leaves)
    else:
        expected = any(compares(op, leaf, operand) for leaf in leaves)
    assert holds({path: {op: operand}}, members) is expected


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(PATHS, SCALARS | st.dictionaries(OPS, SCALARS, min_size=1)))
def test_a_stored_filter_says_the_same(value: dict[str, Any]) -> None:
    """Through the event's bytes, and through Postgres, which writes 1e22 out in full."""
    members = event('{"a":[0,1.0,"x",null,true,1e22,{"b":[]}],"0":0.1}')
    stored = json.loads(
        json.dumps(value),
        parse_float=lambda text: (
            int(float(text)) if float(text) >= 1e16 else float(text)
        ),
    )
    assert holds(value, members) is holds(stored, members)


def test_the_documents_filter_is_one() -> None:
    page = ROOT / "docs" / "filters.md"
    shown, _ = [block.text for block in blocks("json") if block.path == page]
    urgent = event('{"minutes": 1, "site": "KK"}', metadata=b'{"urgent":true}')
    assert holds(json.loads(shown), urgent)
    assert not holds(json.loads(shown), event('{"minutes": 0, "site": "LL"}'))
