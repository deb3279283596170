"""Tenants as the operator runs them: settings, suspension, what it does to their keys."""

from typing import Any

import httpx
import pytest

from tests.integration.http_api.conftest import Account

TENANTS = "/api/v1/tenants"
DEFAULTS: dict[str, Any] = {
    "strict_types": False,
    "retention_days": None,
    "limits": dict.fromkeys(("webhooks", "default", "publish", "test", "retry")),
}


def path(account: Account) -> str:
    return f"{TENANTS}/{account.tenant_id}"


def test_settings(operator: httpx.Client, account: Account) -> None:
    assert operator.get(path(account)).json()["settings"] == DEFAULTS
    strict = {"settings": {"strict_types": True, "retention_days": 30}}
    changed = operator.patch(path(account), json=strict).json()
    assert changed["settings"] == DEFAULTS | strict["settings"]
    more = {"settings": {"limits": {"webhooks": 1}, "strict_types": None}}
    changed = operator.patch(path(account), json=more)
    assert changed.json()["settings"] == {
        "strict_types": False,
        "retention_days": 30,
        "limits": DEFAULTS["limits"] | {"webhooks": 1},
    }
    same = operator.patch(path(account), json=changed.json())
    assert same.json() == changed.json()
    assert same.headers["Daybook-Position"] == changed.headers["Daybook-Position"]


def test_a_tenant_begins_with_settings(operator: httpx.Client) -> None:
    body = {"name": "a", "settings": {"limits": {"webhooks": 7}}}
    made = operator.post(TENANTS, json=body)
    limits = DEFAULTS["limits"] | {"webhooks": 7}
    assert made.json()["settings"] == DEFAULTS | {"limits": limits}
    assert operator.get(made.headers["Location"]).json() == made.json()


def test_a_tenant_has_as_many_webhooks_as_it_is_given(
    operator: httpx.Client, account: Account
) -> None:
    assert account.get("/api/v1/me")["limits"]["webhooks"] == 100
    body = {"settings": {"limits": {"webhooks": 1}}}
    operator.patch(path(account), json=body)
    assert account.get("/api/v1/me")["limits"]["webhooks"] == 1
    account.webhook()
    wanted = {"url": "https://example.com/hook", "event_types": ["*"]}
    refused = account.client.post("/api/v1/webhooks", json=wanted)
    assert (refused.status_code, refused.json()["code"]) == (422, "limit_reached")
    operator.patch(path(account), json={"settings": {"limits": None}})
    account.webhook()


def test_a_strict_tenant_takes_declared_types_only(
    operator: httpx.Client, account: Account
) -> None:
    operator.patch(path(account), json={"settings": {"strict_types": True}})
    one = {"type": "a.b", "data": {}}
    refused = account.client.post("/api/v1/events", json=one)
    [error] = refused.json()["errors"]
    assert refused.status_code == 422
    assert (error["pointer"], error["code"]) == ("#/type", "type_undeclared")
    account.client.put("/api/v1/webhook-events/a.b", json={})
    account.publish("a.b")
    batch = {"events": [one, one | {"type": "a.c"}, one | {"type": "a.d"}]}
    refused = account.client.post("/api/v1/events/batch", json=batch)
    assert refused.json()["code"] == "type_undeclared"
    places = [error["pointer"] for error in refused.json()["errors"]]
    assert places == ["#/events/1/type", "#/events/2/type"]
    operator.patch(path(account), json={"settings": {"strict_types": False}})
    assert account.client.post("/api/v1/events/batch", json=batch).status_code == 202


def test_what_another_tenant_declared_counts_for_nothing(
    operator: httpx.Client, account: Account, other: Account
) -> None:
    other.client.put("/api/v1/webhook-events/a.b", json={})
    operator.patch(path(account), json={"settings": {"strict_types": True}})
    refused = account.client.post("/api/v1/events", json={"type": "a.b", "data": {}})
    assert refused.json()["code"] == "type_undeclared"


def test_a_suspended_tenants_keys_may_do_nothing(
    operator: httpx.Client, account: Account, other: Account
) -> None:
    account.publish()
    body = {"reason": "unpaid"}
    suspended = operator.post(f"{path(account)}/suspend", json=body).json()
    assert suspended["state"] == "suspended"
    assert suspended["suspended"]["reason"] == "unpaid"
    for method, place in (
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/events"),
        ("POST", "/api/v1/events"),
        ("DELETE", "/api/v1/webhooks/x"),
    ):
        response = account.client.request(method, place)
        assert response.status_code == 403
        assert response.json()["code"] == "tenant_suspended"
    assert other.get("/api/v1/me")["tenant"]["state"] == "active"
    again = operator.post(f"{path(account)}/suspend", json={"reason": "still"}).json()
    assert again == suspended
    resumed = operator.post(f"{path(account)}/resume")
    assert (resumed.json()["state"], resumed.json()["suspended"]) == ("active", None)
    same = operator.post(f"{path(account)}/resume")
    assert same.headers["Daybook-Position"] == resumed.headers["Daybook-Position"]
    assert account.get("/api/v1/me")["tenant"] == resumed.json()
    types = [
        event["type"]
        for event in account.get("/api/v1/events", type="daybook.tenant.*")["data"]
    ]
    assert types[-2:] == ["daybook.tenant.suspended", "daybook.tenant.resumed"]


def test_the_operator_goes_on_with_a_suspended_tenant(
    operator: httpx.Client, account: Account
) -> None:
    operator.post(f"{path(account)}/suspend")
    assert operator.patch(path(account), json={"name": "late"}).is_success
    body = {"name": "x", "scopes": ["events:read"], "tenant_id": account.tenant_id}
    key = operator.post("/api/v1/keys", json=body).json()["key"]
    with account.server.client(key) as client:
        assert client.get("/api/v1/me").json()["code"] == "tenant_suspended"


@pytest.mark.parametrize("action", ["suspend", "resume"])
def test_nobody_but_the_operator(account: Account, action: str) -> None:
    response = account.client.post(f"{path(account)}/{action}")
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("action", ["suspend", "resume"])
def test_an_absent_tenant(operator: httpx.Client, action: str) -> None:
    for wrong in ("x", "ten_00000000000000000000000000"):
        response = operator.post(f"{TENANTS}/{wrong}/{action}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_reason_is_a_text(operator: httpx.Client, account: Account) -> None:
    for wrong in (5, "a\x00b", "x" * 1025):
        response = operator.post(f"{path(account)}/suspend", json={"reason": wrong})
        assert response.status_code in (400, 422)
    assert account.get("/api/v1/me")["tenant"]["state"] == "active"
