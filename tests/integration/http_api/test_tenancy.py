"""Tenants and keys: who makes them, what they may do, when they end."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from domain.tenancy.api_key import SCOPES
from tests.integration.http_api.conftest import Account, Server

TENANTS, KEYS = "/api/v1/tenants", "/api/v1/keys"
ABSENT_TENANT = "ten_00000000000000000000000000"
ABSENT_KEY = "key_00000000000000000000000000"


def test_a_tenant(operator: httpx.Client) -> None:
    body = {"name": "Chantier Léman", "external_id": f"erp-{time.time_ns()}"}
    response = operator.post(TENANTS, json=body)
    made = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"{TENANTS}/{made['id']}"
    assert response.headers["Daybook-Position"] == "1"
    assert made.items() >= body.items()
    path = f"{TENANTS}/{made['id']}"
    assert operator.get(path).json() == made
    renamed = operator.patch(path, json={"name": "Rhône"}).json()
    assert renamed["external_id"] == body["external_id"]
    bare = operator.patch(path, json={"external_id": None}).json()
    assert (bare["name"], bare["external_id"]) == ("Rhône", None)
    same = operator.patch(path, json=bare)
    assert (same.json(), same.headers["Daybook-Position"]) == (bare, "3")


def test_an_external_id_is_one_tenants(operator: httpx.Client) -> None:
    external = f"x-{time.time_ns()}"
    operator.post(TENANTS, json={"name": "a", "external_id": external})
    second = operator.post(TENANTS, json={"name": "b"}).json()
    body = {"name": "c", "external_id": external}
    for response in (
        operator.post(TENANTS, json=body),
        operator.patch(f"{TENANTS}/{second['id']}", json=body),
    ):
        [error] = response.json()["errors"]
        assert (response.status_code, error["pointer"]) == (422, "#/external_id")


def test_tenants_are_listed_oldest_first(operator: httpx.Client) -> None:
    made = [operator.post(TENANTS, json={"name": str(n)}).json() for n in range(5)]
    pages = [operator.get(TENANTS, params={"limit": 3}).json()]
    while cursor := pages[-1]["next"]:
        params = {"limit": 3, "cursor": cursor}
        pages.append(operator.get(TENANTS, params=params).json())
    shown = [one for page in pages for one in page["data"]]
    assert sorted(one["id"] for one in shown) == [one["id"] for one in shown]
    assert all(one in shown for one in made)
    params = {"limit": 3, "cursor": pages[-1]["prev"]}
    assert operator.get(TENANTS, params=params).json()["data"] == pages[-2]["data"]


BAD_TENANTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "nameless": ({}, "#/name", "invalid"),
    "empty": ({"name": ""}, "#/name", "invalid"),
    "control": ({"name": "a\x07"}, "#/name", "invalid"),
    "number": ({"name": 5}, "#/name", "invalid"),
    "external": ({"name": "a", "external_id": "é"}, "#/external_id", "invalid"),
    "like an id": ({"name": "a", "external_id": "ten_1"}, "#/external_id", "invalid"),
    "settings": ({"name": "a", "settings": []}, "#/settings", "invalid"),
    "unknown setting": (
        {"name": "a", "settings": {"colour": 1}},
        "#/settings/colour",
        "unknown_field",
    ),
    "strict": (
        {"name": "a", "settings": {"strict_types": "yes"}},
        "#/settings/strict_types",
        "invalid",
    ),
    "retention": (
        {"name": "a", "settings": {"retention_days": 0}},
        "#/settings/retention_days",
        "invalid",
    ),
    "limit": (
        {"name": "a", "settings": {"limits": {"webhooks": 10_001}}},
        "#/settings/limits/webhooks",
        "invalid",
    ),
    "unknown limit": (
        {"name": "a", "settings": {"limits": {"events": 5}}},
        "#/settings/limits/events",
        "unknown_field",
    ),
}


@pytest.mark.parametrize("name", BAD_TENANTS)
def test_bad_tenants(operator: httpx.Client, account: Account, name: str) -> None:
    body, pointer, code = BAD_TENANTS[name]
    calls = [("POST", TENANTS)]
    if name != "nameless":
        calls.append(("PATCH", f"{TENANTS}/{account.tenant_id}"))
    for method, path in calls:
        response = operator.request(method, path, json=body)
        [error] = response.json()["errors"]
        assert response.status_code == 422
        assert (error["pointer"], error["code"]) == (pointer, code)


@pytest.mark.parametrize("wrong", [ABSENT_TENANT, "x", ABSENT_KEY])
def test_absent_tenants(operator: httpx.Client, wrong: str) -> None:
    assert operator.get(f"{TENANTS}/{wrong}").status_code == 404
    assert operator.patch(f"{TENANTS}/{wrong}", json={"name": "x"}).status_code == 404


def test_a_key_works_at_once_and_is_shown_once(account: Account) -> None:
    body = {"name": "reader", "scopes": ["events:read"]}
    response = account.client.post(KEYS, json=body)
    made = response.json()
    assert response.status_code == 201
    assert response.headers["Daybook-Position"] == "3"
    assert made["key"].startswith(made["prefix"])
    with account.server.client(made["key"]) as client:
        assert client.get("/api/v1/events").status_code == 200
        assert client.post("/api/v1/events", json={}).status_code == 403
        me = client.get("/api/v1/me").json()
    assert me["scopes"] == ["events:read"]
    assert (me["tenant"]["id"], me["name"]) == (account.tenant_id, "reader")
    listed = account.get(KEYS)["data"]
    assert [one["name"] for one in listed] == ["all", "reader"]
    assert [one["key"] for one in listed] == [None, None]
    events = account.client.get("/api/v1/events", params={"type": "daybook.*"}).text
    assert made["key"] not in events


def test_a_key_ends_at_once(account: Account) -> None:
    body = {"name": "short", "scopes": ["events:read"]}
    made = account.client.post(KEYS, json=body).json()
    with account.server.client(made["key"]) as client:
        assert client.get("/api/v1/events").status_code == 200
        path = f"{KEYS}/{made['id']}"
        response = account.client.delete(path)
        assert (response.status_code, response.content) == (204, b"")
        assert client.get("/api/v1/events").status_code == 401
        assert account.client.delete(path).status_code == 404
    assert [one["name"] for one in account.get(KEYS)["data"]] == ["all"]


def test_a_key_expires(account: Account) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    body = {
        "name": "short",
        "scopes": ["events:read"],
        "expires_at": soon.isoformat(),
    }
    made = account.client.post(KEYS, json=body).json()
    with account.server.client(made["key"]) as client:
        assert client.get("/api/v1/events").status_code == 200
        time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
        assert client.get("/api/v1/events").status_code == 401


def test_when_a_key_was_used_is_kept(account: Account) -> None:
    account.get("/api/v1/events")
    deadline = time.monotonic() + 5
    while account.get(KEYS)["data"][0]["last_used_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


BAD_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "nameless": ({"scopes": ["events:read"]}, "#/name"),
    "empty name": ({"name": "", "scopes": ["events:read"]}, "#/name"),
    "no scopes": ({"name": "a", "scopes": []}, "#/scopes"),
    "unknown scope": ({"name": "a", "scopes": ["events:eat"]}, "#/scopes/0"),
    "not built": ({"name": "a", "scopes": ["subjects:erase"]}, "#/scopes/0"),
    "platform": ({"name": "a", "scopes": ["tenants:act"]}, "#/scopes/0"),
    "number": ({"name": "a", "scopes": ["events:read", 1]}, "#/scopes/1"),
    "expired": (
        {
            "name": "a",
            "scopes": ["events:read"],
            "expires_at": "2020-01-01T00:00:00Z",
        },
        "#/expires_at",
    ),
    "no offset": (
        {"name": "a", "scopes": ["events:read"], "expires_at": "2999-01-01T00:00:00"},
        "#/expires_at",
    ),
    "another's": (
        {"name": "a", "scopes": ["events:read"], "tenant_id": ABSENT_TENANT},
        "#/tenant_id",
    ),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(account: Account, name: str) -> None:
    body, pointer = BAD_KEYS[name]
    response = account.client.post(KEYS, json=body)
    [error] = response.json()["errors"]
    assert (response.status_code, error["pointer"]) == (422, pointer)
    assert len(account.get(KEYS)["data"]) == 1


def test_a_key_hands_on_its_own_scopes_only(account: Account) -> None:
    manager = account.with_scopes("keys:admin", "events:read")
    body = {"name": "x", "scopes": ["events:read", "events:write"]}
    [error] = manager.post(KEYS, json=body).json()["errors"]
    assert error["pointer"] == "#/scopes/1"
    assert manager.post(KEYS, json={"name": "x", "scopes": ["events:read"]}).is_success


def test_the_operator_names_the_tenant(
    operator: httpx.Client, account: Account, other: Account
) -> None:
    body: dict[str, Any] = {"name": "x", "scopes": list(SCOPES)}
    for wrong in (None, "x", ABSENT_TENANT):
        response = operator.post(KEYS, json=body | {"tenant_id": wrong})
        [error] = response.json()["errors"]
        assert (response.status_code, error["pointer"]) == (422, "#/tenant_id")
    made = operator.post(KEYS, json=body | {"tenant_id": account.tenant_id}).json()
    assert made["tenant_id"] == account.tenant_id
    named = {"tenant_id": account.tenant_id}
    assert len(operator.get(KEYS, params=named).json()["data"]) == 2
    assert account.client.get(KEYS, params=named).status_code == 200
    theirs = account.client.get(KEYS, params={"tenant_id": other.tenant_id})
    assert (theirs.status_code, theirs.json()["code"]) == (422, "unknown_field")
    path = f"{KEYS}/{made['id']}"
    wrong_tenant = operator.delete(path, params={"tenant_id": other.tenant_id})
    assert wrong_tenant.status_code == 404
    assert operator.delete(path).status_code == 204


def test_anothers_key_is_an_absent_one(account: Account, other: Account) -> None:
    [theirs] = other.get(KEYS)["data"]
    for wrong in (theirs["id"], ABSENT_KEY, "x"):
        response = account.client.delete(f"{KEYS}/{wrong}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert other.get("/api/v1/me")["key_id"] == theirs["id"]


def test_who_am_i(account: Account, operator: httpx.Client, server: Server) -> None:
    me = account.get("/api/v1/me")
    assert me["scopes"] == sorted(SCOPES)
    assert me["limits"]["event_bytes"] == 262144
    boss = operator.get("/api/v1/me").json()
    assert (boss["type"], boss["tenant"]) == ("operator", None)
    assert server.url
