"""The document's shapes have examples that keep them; ids have patterns, unions titles."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from msgspec import Struct

from api import examples, openapi
from api.app import create_app
from api.settings import ApiSettings
from projections.vault import generate_keys

SETTINGS = ApiSettings(
    database_url="postgresql://nowhere/",
    secret_keys=generate_keys(),
    operator_key="an operator's key for the document",
)
APP = create_app(SETTINGS)
# As clients see it.
DOCUMENT = json.loads(json.dumps(APP.state.openapi))
SHAPES = DOCUMENT["components"]["schemas"]
ID = re.compile(r"id|\w+_id")


def test_each_shape_that_is_sent_has_an_example() -> None:
    sent = {
        kind.__name__
        for _, _, one in openapi._declared(APP.routes)
        for kind in one.bodies.values()
        if isinstance(kind, type) and issubclass(kind, Struct)
    }
    assert sent - examples.BY_SHAPE.keys() == set(), "tell api/examples.py"


@pytest.mark.parametrize("name", examples.BY_SHAPE)
def test_examples_keep_their_shape(name: str) -> None:
    schema = {
        "$ref": f"#/components/schemas/{name}",
        "components": DOCUMENT["components"],
    }
    checker = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    assert [
        error.message for error in checker.iter_errors(examples.BY_SHAPE[name])
    ] == []


def members(described: Any, at: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where, name and schema of each member and parameter."""
    if isinstance(described, dict):
        if "in" in described and "schema" in described:
            yield at, described["name"], described["schema"]
        for name, schema in described.get("properties", {}).items():
            if isinstance(schema, dict):
                yield at, name, schema
        for name, child in described.items():
            if name != "examples":
                yield from members(child, f"{at}/{name}")
    elif isinstance(described, list):
        for number, child in enumerate(described):
            yield from members(child, f"{at}/{number}")


def test_every_id_has_a_pattern() -> None:
    loose = [
        f"{at}: {name}"
        for at, name, schema in members(DOCUMENT, "")
        if ID.fullmatch(name) and '"pattern"' not in json.dumps(schema)
    ]
    assert loose == [], "tell api/components.py"


def unions(described: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(described, dict):
        for word in ("anyOf", "oneOf"):
            found = [one for one in described.get(word, ()) if one != {"type": "null"}]
            if len(found) > 1:
                yield at, described
                yield from ((at, one) for one in found if "$ref" not in one)
        for name, child in described.items():
            yield from unions(child, f"{at}/{name}")
    elif isinstance(described, list):
        for number, child in enumerate(described):
            yield from unions(child, f"{at}/{number}")


def test_every_union_has_titles() -> None:
    assert [at for at, one in unions(DOCUMENT, "") if "title" not in one] == []


def test_patterns_are_regular_expressions_of_javascript_too() -> None:
    """None of what only Python reads: \\Z, named groups, possessive quantifiers."""
    found = set(re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(DOCUMENT)))
    assert found
    assert not [one for one in found if re.search(r"\\\\[AZ]|\(\?P|[*+?}]\+", one)]
