"""Keys that take another's place, and keys that act for the tenant a request names."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.authentication import KEPT_SECONDS
from api.settings import ApiSettings
from domain.tenancy import api_key
from projections.vault import generate_keys
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    running,
)
from tests.support.waiting import eventually

KEYS = "/api/v1/keys"
ABSENT = "key_00000000000000000000000000"


def status(server: Server, key: str, **headers: str) -> int:
    with server.client(key) as client:
        return client.get("/api/v1/events", headers=headers).status_code


def a_key(maker: httpx.Client, *scopes: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "one", "scopes": list(scopes or ["events:read"])} | fields
    made = maker.post(KEYS, json=body)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


# Another key in its place.


def test_a_key_takes_anothers_place_at_once(account: Account) -> None:
    made = a_key(account.client)
    assert status(account.server, made["key"]) == 200
    rotated = account.client.post(f"{KEYS}/{made['id']}/rotate")
    assert rotated.status_code == 200
    fresh = rotated.json()
    assert fresh["key"] != made["key"] and api_key.is_well_formed(fresh["key"])
    stays = ("id", "name", "scopes", "expires_at", "created_at")
    assert [fresh[name] for name in stays] == [made[name] for name in stays]
    assert status(account.server, made["key"]) == 401
    assert status(account.server, fresh["key"]) == 200
    [listed] = [one for one in account.get(KEYS)["data"] if one["id"] == made["id"]]
    assert (listed["key"], listed["previous_expires_at"]) == (None, None)
    text = account.client.get("/api/v1/events", params={"type": "daybook.*"}).text
    assert fresh["key"] not in text


def test_both_work_for_a_while(account: Account) -> None:
    made = a_key(account.client)
    path = f"{KEYS}/{made['id']}/rotate"
    second = account.client.post(path, json={"overlap_seconds": 1}).json()
    until = datetime.fromisoformat(second["previous_expires_at"])
    assert status(account.server, made["key"]) == 200
    assert status(account.server, second["key"]) == 200
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    assert status(account.server, made["key"]) == 401
    third = account.client.post(path, json={"overlap_seconds": 60}).json()
    works = [status(account.server, one["key"]) for one in (made, second, third)]
    assert works == [401, 200, 200]
    # A key that ends, ends with the one that it replaced.
    account.client.delete(f"{KEYS}/{made['id']}")
    works = [status(account.server, one["key"]) for one in (made, second, third)]
    assert works == [401, 401, 401]


def test_an_overlap_does_not_lengthen_a_keys_life(account: Account) -> None:
    end = datetime.now(UTC) + timedelta(seconds=30)
    made = a_key(account.client, expires_at=end.isoformat())
    body = {"overlap_seconds": 600, "expires_at": None}
    fresh = account.client.post(f"{KEYS}/{made['id']}/rotate", json=body).json()
    assert fresh["expires_at"] is None
    assert fresh["previous_expires_at"] == made["expires_at"]


def test_more_may_change_with_it(account: Account) -> None:
    made = a_key(account.client, "events:read", "events:write")
    body = {
        "name": "two",
        "scopes": ["webhooks:read"],
        "expires_at": "2999-01-01T00:00:00Z",
    }
    fresh = account.client.post(f"{KEYS}/{made['id']}/rotate", json=body).json()
    expected = body | {"expires_at": "2999-01-01T00:00:00.000000Z"}
    assert fresh.items() >= expected.items()
    assert status(account.server, fresh["key"]) == 403


BAD_ROTATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": ""}, "#/name"),
    "scope": ({"scopes": ["events:eat"]}, "#/scopes/0"),
    "platform": ({"scopes": ["tenants:act"]}, "#/scopes/0"),
    "no scopes": ({"scopes": []}, "#/scopes"),
    "overlap": ({"overlap_seconds": 604_801}, "#/overlap_seconds"),
    "past": ({"expires_at": "2020-01-01T00:00:00Z"}, "#/expires_at"),
    "unknown": ({"colour": 1}, "#/colour"),
    "another's": ({"tenant_id": "ten_00000000000000000000000000"}, "#/tenant_id"),
}


@pytest.mark.parametrize("name", BAD_ROTATIONS)
def test_bad_rotations(account: Account, name: str) -> None:
    body, pointer = BAD_ROTATIONS[name]
    made = a_key(account.client)
    response = account.client.post(f"{KEYS}/{made['id']}/rotate", json=body)
    [error] = response.json()["errors"]
    assert (response.status_code, error["pointer"]) == (422, pointer)
    assert status(account.server, made["key"]) == 200


def test_nobody_rotates_into_more_than_it_may(account: Account) -> None:
    made = a_key(account.client, "events:read", "events:write")
    manager = account.with_scopes("keys:admin", "events:read")
    path = f"{KEYS}/{made['id']}/rotate"
    [error] = manager.post(path).json()["errors"]
    assert error["pointer"] == "#/scopes/1"
    assert manager.post(path, json={"scopes": ["events:read"]}).status_code == 200


def test_the_operator_rotates_any_key(
    account: Account, other: Account, operator: httpx.Client
) -> None:
    made = a_key(account.client)
    path = f"{KEYS}/{made['id']}/rotate"
    wrong = operator.post(path, json={"tenant_id": other.tenant_id})
    assert (wrong.status_code, wrong.json()["code"]) == (404, "not_found")
    assert operator.post(path).json()["tenant_id"] == account.tenant_id
    for absent in (ABSENT, "x"):
        assert operator.post(f"{KEYS}/{absent}/rotate").status_code == 404


def test_one_that_has_expired_needs_another_end(account: Account) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    made = a_key(account.client, expires_at=soon.isoformat())
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
    path = f"{KEYS}/{made['id']}/rotate"
    [error] = account.client.post(path).json()["errors"]
    assert error["pointer"] == "#/expires_at"
    fresh = account.client.post(path, json={"expires_at": None}).json()
    assert status(account.server, fresh["key"]) == 200


# In another process.


@pytest.fixture
def twin(server: Server) -> Iterator[Server]:
    """Another process of the API, on the same database."""
    settings = ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
        limit_default=1_000_000,
        limit_auth=1_000_000,
    )
    with running(settings) as url:
        yield Server(url, server.database_url)


def test_what_ends_here_ends_there_within_a_second(
    account: Account, operator: httpx.Client, twin: Server
) -> None:
    made = a_key(account.client)
    assert status(twin, made["key"]) == status(twin, account.key) == 200
    account.client.delete(f"{KEYS}/{made['id']}")
    operator.post(f"/api/v1/tenants/{account.tenant_id}/suspend")
    ended = time.monotonic()
    eventually(lambda: status(twin, made["key"]) == 401)
    eventually(lambda: status(twin, account.key) == 403)
    assert time.monotonic() - ended < KEPT_SECONDS + 2  # for a busy machine


def test_its_use_is_written_once_a_minute_by_all_of_them(
    account: Account, twin: Server
) -> None:
    def used() -> Any:
        return next(iter(account.get(KEYS)["data"]))["last_used_at"]

    first = eventually(used)
    assert status(twin, account.key) == 200
    # The twin notes uses in their order: once this one's is there, so would that one's be.
    made = a_key(account.client)
    assert status(twin, made["key"]) == 200
    eventually(lambda: account.get(KEYS)["data"][1]["last_used_at"])
    assert used() == first


# For the tenant that a request names.


@pytest.fixture
def platform(operator: httpx.Client, server: Server) -> Iterator[httpx.Client]:
    """A platform key that may read, publish and make keys."""
    scopes = ["tenants:act", "events:read", "events:write", "keys:admin"]
    made = a_key(operator, *scopes)
    with server.client(made["key"]) as client:
        yield client


def acting(name: str) -> dict[str, str]:
    return {"Daybook-Tenant": name}


def test_a_platform_key_acts_for_the_tenant_it_names(
    platform: httpx.Client, operator: httpx.Client, account: Account, other: Account
) -> None:
    external = f"erp-{account.tenant_id}"
    body = {"external_id": external}
    operator.patch(f"/api/v1/tenants/{account.tenant_id}", json=body)
    event = {"type": "a.b", "data": {}}
    for name in (account.tenant_id, external):
        sent = platform.post("/api/v1/events", json=event, headers=acting(name))
        assert sent.status_code == 202
    seen = account.get("/api/v1/events")["data"]
    me = platform.get("/api/v1/me", headers=acting(external)).json()
    assert [one["actor"] for one in seen] == [
        {"type": "platform", "id": me["key_id"]}
    ] * 2
    assert (me["type"], me["tenant"]["id"]) == ("platform", account.tenant_id)
    theirs = platform.get("/api/v1/events", headers=acting(other.tenant_id)).json()
    assert theirs["data"] == []


def test_that_it_came_is_in_the_tenants_log_once_a_day(
    platform: httpx.Client, account: Account
) -> None:
    for _ in range(3):
        answer = platform.get("/api/v1/events", headers=acting(account.tenant_id))
        assert answer.status_code == 200
    me = platform.get("/api/v1/me", headers=acting(account.tenant_id)).json()
    [told] = account.get("/api/v1/events", type="daybook.tenant.entered")["data"]
    assert told["data"]["key_id"] == me["key_id"]
    assert told["actor"] == {"type": "platform", "id": me["key_id"]}


def test_it_names_a_tenant_or_may_do_nothing(
    platform: httpx.Client, account: Account
) -> None:
    def code(path: str, **headers: str) -> str | None:
        answer = platform.get(path, headers=headers)
        found: str | None = answer.json().get("code")
        return found

    assert code("/api/v1/events") == "scope_missing"
    for wrong in ("ten_00000000000000000000000000", "nobody", "ten_x", ""):
        assert code("/api/v1/events", **acting(wrong)) == "not_found"
    assert code("/api/v1/webhooks", **acting(account.tenant_id)) == "scope_missing"
    assert code("/api/v1/tenants", **acting(account.tenant_id)) == "scope_missing"
    me = platform.get("/api/v1/me").json()
    assert (me["type"], me["tenant"], me["name"]) == ("platform", None, "one")


def test_it_stops_at_a_suspended_tenant(
    platform: httpx.Client, operator: httpx.Client, account: Account, other: Account
) -> None:
    operator.post(f"/api/v1/tenants/{account.tenant_id}/suspend")
    answer = platform.get("/api/v1/events", headers=acting(account.tenant_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_suspended")
    answer = platform.get("/api/v1/events", headers=acting(other.tenant_id))
    assert answer.status_code == 200


def test_it_hands_on_no_power_over_tenants(
    platform: httpx.Client, account: Account
) -> None:
    headers = acting(account.tenant_id)
    body = {"name": "x", "scopes": ["tenants:act"]}
    [error] = platform.post(KEYS, json=body, headers=headers).json()["errors"]
    assert error["pointer"] == "#/scopes/0"
    body["scopes"] = ["events:read"]
    made = platform.post(KEYS, json=body, headers=headers).json()
    assert made["tenant_id"] == account.tenant_id


def test_the_operator_keeps_platform_keys(
    operator: httpx.Client, account: Account, server: Server
) -> None:
    both = {"tenant_id": account.tenant_id, "name": "x", "scopes": ["tenants:act"]}
    [error] = operator.post(KEYS, json=both).json()["errors"]
    assert error["pointer"] == "#/tenant_id"
    made = a_key(operator, "tenants:act", "events:read")
    assert made["tenant_id"] is None
    listed = operator.get(KEYS, params={"limit": 500}).json()["data"]
    assert made["id"] in [one["id"] for one in listed]
    assert {one["tenant_id"] for one in listed} == {None}
    nobody = {"tenant_id": "ten_00000000000000000000000000"}
    assert operator.get(KEYS, params=nobody).status_code == 404
    rotated = operator.post(f"{KEYS}/{made['id']}/rotate").json()
    named = acting(account.tenant_id)
    assert status(server, made["key"], **named) == 401
    assert status(server, rotated["key"], **named) == 200
    less = {"scopes": ["events:read"]}
    response = operator.post(f"{KEYS}/{made['id']}/rotate", json=less)
    assert response.json()["errors"][0]["pointer"] == "#/scopes"
    assert operator.delete(f"{KEYS}/{made['id']}").status_code == 204
    assert status(server, rotated["key"], **named) == 401


def test_when_it_was_used_is_kept(
    platform: httpx.Client, operator: httpx.Client, account: Account
) -> None:
    me = platform.get("/api/v1/me", headers=acting(account.tenant_id)).json()
    deadline = time.monotonic() + 5
    while True:
        listed = operator.get(KEYS, params={"limit": 500}).json()["data"]
        [used] = [one for one in listed if one["id"] == me["key_id"]]
        if used["last_used_at"] is not None:
            break
        assert time.monotonic() < deadline
