"""What the construction site says of its events and shapes is so."""

from typing import Any

import jsonschema_rs
import pytest
from msgspec import Struct

from api import operation, system_types
from api.app import create_app
from api.settings import ApiSettings
from examples.construction_site.api import routes
from examples.construction_site.context import CONTEXT
from projections.context import Contexts
from projections.vault import generate_keys

TYPES = system_types.known(Contexts((CONTEXT,)))
APP = create_app(
    ApiSettings(
        database_url="postgresql://nowhere/",
        secret_keys=generate_keys(),
        operator_key="an operator's key for the document",
    ),
    (CONTEXT,),
)
DOCUMENT: dict[str, Any] = APP.state.openapi


@pytest.mark.parametrize("name", CONTEXT.meanings)
def test_the_example_of_an_event_keeps_its_schema(name: str) -> None:
    schema, example = TYPES[name].schema, CONTEXT.meanings[name].example
    assert example.keys() == schema["properties"].keys()
    checker = jsonschema_rs.Draft202012Validator(schema)
    assert [error.message for error in checker.iter_errors(example)] == []


@pytest.mark.parametrize("name", CONTEXT.meanings)
def test_the_document_has_each_event_as_a_webhook(name: str) -> None:
    assert DOCUMENT["webhooks"][name]["post"]["summary"]


def test_each_shape_that_is_sent_has_an_example_that_keeps_it() -> None:
    sent = {
        body.__name__
        for handler in routes.HANDLERS
        if (one := operation.of(handler))
        for body in one.bodies.values()
        if isinstance(body, type) and issubclass(body, Struct)
    }
    assert sent == routes.EXAMPLES.keys()
    for name, example in routes.EXAMPLES.items():
        schema = {
            "$ref": f"#/components/schemas/{name}",
            "components": DOCUMENT["components"],
        }
        checker = jsonschema_rs.Draft202012Validator(schema)
        assert [error.message for error in checker.iter_errors(example)] == [], name
        assert DOCUMENT["components"]["schemas"][name]["examples"] == [example]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/v1/chantiers"),
        ("post", "/api/v1/planning/affectations"),
        ("post", "/api/v1/pointages/{heures_id}/validate"),
        ("post", "/api/v1/signalements"),
        ("post", "/api/v1/documents/{dossier_id}/documents"),
    ],
)
def test_the_paths_are_those_that_customers_know(method: str, path: str) -> None:
    assert DOCUMENT["paths"][path][method]["responses"]


def test_every_id_in_a_path_has_a_pattern() -> None:
    loose = [
        (path, parameter["name"])
        for path, methods in DOCUMENT["paths"].items()
        for described in methods.values()
        for parameter in described["parameters"]
        if parameter.get("in") == "path"
        and parameter["name"].endswith("_id")
        and "pattern" not in parameter["schema"]
    ]
    assert loose == []
