"""The OpenAPI document: valid, complete, and true to what the API answers."""

import json
import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import examples
from domain import catalog
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_authentication import ROUTES


@pytest.fixture(scope="session")
def document(stranger: httpx.Client) -> dict[str, Any]:
    """The document as it is served."""
    found: dict[str, Any] = stranger.get("/openapi.json").json()
    return found


def calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for methods in document["paths"].values() for call in methods.values()]


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_it_has_every_call(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    }
    served = {
        (method, path) for method, path, one in ROUTES if one and not one.is_public
    }
    assert described == served


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [call["operationId"] for call in calls(document)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", one) for one in ids)


EXAMPLES = {
    "PublishEvent": ("POST", "/api/v1/events"),
    "PublishBatch": ("POST", "/api/v1/events/batch"),
    "DeclareEventType": ("PUT", "/api/v1/webhook-events/hours.validated"),
    "CreateWebhook": ("POST", "/api/v1/webhooks"),
    "MatchEvent": ("POST", "/api/v1/webhooks/match"),
    "PutConsumer": ("PUT", "/api/v1/consumers/payroll"),
    "CreateKey": ("POST", "/api/v1/keys"),
}


def test_examples_are_accepted(account: Account) -> None:
    for name, (method, path) in EXAMPLES.items():
        response = account.client.request(method, path, json=examples.BY_SHAPE[name])
        assert response.is_success, response.text
    body = json.dumps(examples.BY_SHAPE["CloudEvent"])
    headers = {"Content-Type": "application/cloudevents+json"}
    response = account.client.post("/api/v1/cloudevents", content=body, headers=headers)
    assert response.is_success, response.text


def test_errors_are_those_that_can_be(document: dict[str, Any]) -> None:
    def refused(path: str, method: str) -> set[str]:
        answers = document["paths"][path][method]["responses"]
        return {status for status in answers if "400" <= status < "500"}

    always = {"401", "403", "422", "429"}
    of_body = {"400", "413", "415"}
    assert refused("/api/v1/me", "get") == always
    assert refused("/api/v1/webhooks", "get") == always | {"400", "404"}
    assert refused("/api/v1/webhooks", "post") == always | of_body | {"404", "409"}
    one = "/api/v1/webhooks/{webhook_id}"
    assert refused(one, "get") == always | {"404", "409"}
    assert refused(f"{one}/deliveries", "get") == always | {"400", "404"}
    assert refused(one, "patch") == always | of_body | {"404", "409", "412"}


def test_the_webhooks_are_those_of_the_catalogue(
    account: Account, document: dict[str, Any]
) -> None:
    """And an event of ours keeps what the document says of it."""
    assert document["webhooks"].keys() == {"event", *catalog.EVENTS}
    account.webhook()
    [event] = account.get("/api/v1/events", type="daybook.webhook.created")["data"]
    shown = account.get(f"/api/v1/webhook-events/{event['type']}")
    assert shown["description"] == catalog.MEANINGS[event["type"]]
    Draft202012Validator(shown["schema"]).validate(event["data"])


def test_errors_are_problems(document: dict[str, Any]) -> None:
    reference = {"$ref": "#/components/schemas/Problem"}
    for response in document["components"]["responses"].values():
        assert response["content"]["application/problem+json"]["schema"] == reference
    for call in calls(document):
        assert {"401", "403", "422", "500", "503"} <= set(call["responses"])


def test_ids_have_patterns(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    pattern = schemas["Webhook"]["properties"]["id"]["pattern"]
    assert pattern == "^wh_[0-9a-z]{26}$"
    call = document["paths"]["/api/v1/webhooks/{webhook_id}"]["get"]
    parameter = call["parameters"][0]
    assert parameter["schema"]["pattern"] == pattern


def test_answers_are_as_described(account: Account, document: dict[str, Any]) -> None:
    webhook = account.webhook()
    event = account.publish()
    account.client.put("/api/v1/webhook-events/a", json={})
    for path, method, status, answer in [
        ("/api/v1/events", "post", "202", event),
        ("/api/v1/events", "get", "200", account.get("/api/v1/events")),
        (
            "/api/v1/events/{event_id}",
            "get",
            "200",
            account.get(f"/api/v1/events/{event['id']}"),
        ),
        ("/api/v1/webhooks", "post", "201", webhook),
        ("/api/v1/webhooks", "get", "200", account.get("/api/v1/webhooks")),
        ("/api/v1/webhook-events", "get", "200", account.get("/api/v1/webhook-events")),
        ("/api/v1/keys", "get", "200", account.get("/api/v1/keys")),
        ("/api/v1/me", "get", "200", account.get("/api/v1/me")),
    ]:
        described = document["paths"][path][method]["responses"][status]
        schema = described["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(answer)
    problem = account.client.post("/api/v1/events", json={}).json()
    schema = {"$ref": "#/components/schemas/Problem"}
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(problem)


def test_every_reference_leads_somewhere_and_no_name_is_a_module_path(
    document: dict[str, Any],
) -> None:
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    names = set(document["components"]["schemas"])
    assert wanted <= names
    assert not {name for name in names if "." in name}
