"""Event types: declared, seen, our own; pages of them."""

from typing import Any

import pytest

from domain import catalog
from tests.integration.http_api.conftest import Account

PATH = "/api/v1/webhook-events"


def test_declare_and_read(account: Account) -> None:
    body = {"description": "Hours.", "example": {"minutes": 480}, "deprecated": True}
    response = account.client.put(f"{PATH}/heures.validated", json=body)
    assert response.status_code == 200
    assert response.headers["Daybook-Position"] == "3"
    shown = response.json()
    assert shown == {
        "type": "heures.validated",
        "description": "Hours.",
        "schema": None,
        "schema_version": None,
        "example": {"minutes": 480},
        "deprecated": True,
        "secret_fields": [],
        "declared": True,
        "system": False,
    }
    assert account.get(f"{PATH}/heures.validated") == shown
    again = account.client.put(f"{PATH}/heures.validated", json=shown)
    assert again.json() == shown
    assert again.headers["Daybook-Position"] == "3"
    bare = account.client.put(f"{PATH}/heures.validated", json={"deprecated": None})
    expected = {"description": None, "example": None, "deprecated": False}
    assert bare.json() == shown | expected


def test_seen_and_our_own(account: Account) -> None:
    account.publish("seen.here")
    seen = account.get(f"{PATH}/seen.here")
    assert (seen["declared"], seen["system"]) == (False, False)
    ours = account.get(f"{PATH}/daybook.webhook.created")
    assert (ours["declared"], ours["system"]) == (False, True)


@pytest.mark.parametrize("name", ["never.seen", "seen", "a b", "a..b", "%00"])
def test_absent(account: Account, name: str) -> None:
    account.publish("seen.here")
    assert account.client.get(f"{PATH}/{name}").status_code == 404


def test_a_list_by_name(account: Account, other: Account) -> None:
    for name in ("zoo", "a-b", "a_b", "a.b", "A"):
        account.publish(name)
    account.client.put(f"{PATH}/a.b", json={})
    account.client.put(f"{PATH}/declared.only", json={})
    other.publish("theirs")
    expected = sorted(
        {"zoo", "a-b", "a_b", "a.b", "A", "declared.only", *catalog.EVENTS}
    )
    whole = account.get(PATH, limit=500)
    assert [one["type"] for one in whole["data"]] == expected
    pages = [account.get(PATH, limit=4)]
    while pages[-1]["next"]:
        pages.append(account.get(PATH, limit=4, cursor=pages[-1]["next"]))
    assert [one["type"] for page in pages for one in page["data"]] == expected
    for page, before in zip(pages[:0:-1], pages[-2::-1], strict=True):
        back = account.get(PATH, limit=4, cursor=page["prev"])
        assert back["data"] == before["data"]


BAD: dict[str, tuple[str, Any, str, str]] = {
    "ours": ("daybook.x", {}, "type_reserved", "event_type"),
    "grammar": ("a b", {}, "invalid", "event_type"),
    "schema": ("a", {"schema": []}, "invalid", "#/schema"),
    "schema elsewhere": (
        "a",
        {"schema": {"items": {"$ref": "http://127.0.0.1/x"}}},
        "invalid",
        "#/schema/items/$ref",
    ),
    "keyword": ("a", {"schema": {"type": "objet"}}, "invalid", "#/schema/type"),
    "example and schema": (
        "a",
        {"schema": {"properties": {"x": {"type": "string"}}}, "example": {"x": 1}},
        "schema_violation",
        "#/example/x",
    ),
    "schema version": ("a", {"schema_version": 1}, "unknown_field", "#/schema_version"),
    "secret field": ("a", {"secret_fields": ["a"]}, "invalid", "#/secret_fields/0"),
    "secret fields": (
        "a",
        {"secret_fields": ["/a"] * 51},
        "invalid",
        "#/secret_fields",
    ),
    "after": ("a?after=1", {}, "invalid", "after"),
    "dry run": ("a?dry_run=1", {}, "invalid", "dry_run"),
    "renamed": ("a", {"type": "b"}, "unknown_field", "#/type"),
    "declared": ("a", {"declared": True}, "unknown_field", "#/declared"),
    "example": ("a", {"example": []}, "invalid", "#/example"),
    "description": ("a", {"description": "x" * 1025}, "invalid", "#/description"),
    "deprecated": ("a", {"deprecated": 1}, "invalid", "#/deprecated"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_declarations(account: Account, name: str) -> None:
    event_type, body, code, place = BAD[name]
    response = account.client.put(f"{PATH}/{event_type}", json=body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, code)
    [error] = problem["errors"]
    assert place in (error.get("pointer"), error.get("parameter"))


@pytest.mark.parametrize("number", ["1e400", "123456789012345678901234567890"])
def test_numbers_beyond_floats(account: Account, number: str) -> None:
    body = f'{{"example":{{"x":{number}}}}}'.encode()
    headers = {"Content-Type": "application/json"}
    response = account.client.put(f"{PATH}/a", content=body, headers=headers)
    assert response.status_code in (200, 422)
    for field in ("metadata", "unknown"):
        body = (
            '{"url":"https://example.com/","event_types":["a"],'
            f'"{field}":{{"x":{number}}}}}'
        ).encode()
        response = account.client.post(
            "/api/v1/webhooks", content=body, headers=headers
        )
        assert response.status_code in (201, 422)
        if response.is_success:
            path = response.headers["Location"]
            assert account.client.patch(path, json={"name": "x"}).is_success
