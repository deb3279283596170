"""The catalogue for people says what may be sent, as the document for machines does."""

from api import reference

LIMIT = {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
ORDER = {"enum": ["asc", "desc"], "default": "asc"}


def call(*schemas: dict[str, object]) -> str:
    document = {
        "info": {"version": "1", "description": "d"},
        "components": {"schemas": {"Sent": {"properties": {"on": {"default": False}}}}},
        "webhooks": {},
        "paths": {
            "/x": {
                "get": {
                    "operationId": "x",
                    "summary": "s",
                    "description": "d",
                    "responses": {},
                    "parameters": [
                        {"name": f"p{number}", "in": "query", "schema": schema}
                        for number, schema in enumerate(schemas)
                    ],
                }
            }
        },
    }
    return reference.page(document)


def test_parameters_have_their_values() -> None:
    page = call(LIMIT, ORDER)
    assert "<td>integer, 1 to 500; default 50</td>" in page
    assert "<td><code>asc</code> <code>desc</code>; default asc</td>" in page


def test_a_limit_that_all_integers_have_is_not_told() -> None:
    page = call({"type": "integer", "minimum": 0, "maximum": 2**53 - 1})
    assert "<td>integer</td>" in page


def test_members_have_their_defaults() -> None:
    assert "<td>any; default false</td>" in call()
