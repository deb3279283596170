"""Webhooks: made, read, changed, switched, deleted; ETags; who gets what."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from api.webhooks.setting_schemas import WebhookChanges, WebhookSettings
from domain.webhooks.settings import Settings
from domain.webhooks.subscription import MOST_WEBHOOKS
from tests.integration.http_api.conftest import Account

PATH = "/api/v1/webhooks"
ABSENT = "wh_00000000000000000000000000"


def test_a_webhook_with_defaults(account: Account) -> None:
    response = account.client.post(
        PATH, json={"url": "https://example.com/x", "event_types": ["a.*"]}
    )
    made = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"{PATH}/{made['id']}"
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Daybook-Position"] == "3"  # the tenant, its key, this
    Verifier(made["secret"])
    me = account.get("/api/v1/me")
    assert made == {
        "id": made["id"],
        "url": "https://example.com/x",
        "name": None,
        "description": None,
        "event_types": ["a.*"],
        "streams": ["*"],
        "filter": None,
        "format": "standard",
        "signing": ["v1"],
        "headers": {},
        "retry": "durable",
        "timeout_seconds": 15,
        "rate_per_second": None,
        "max_in_flight": 10,
        "ordering": "none",
        "on_dead": "continue",
        "disable_after": {"failures": 10, "over_seconds": 86400},
        "keep_response": False,
        "networks": None,
        "metadata": {},
        "state": "active",
        "health": "ok",
        "disabled": None,
        "version": 1,
        "created_by": {"type": "key", "id": me["key_id"]},
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
        "public_key": None,
        "secret": made["secret"],
    }


def test_the_secret_is_shown_once(account: Account) -> None:
    made = account.webhook()
    path = f"{PATH}/{made['id']}"
    shown = [
        account.get(path),
        account.get(PATH)["data"][0],
        account.client.patch(path, json={"name": "x"}).json(),
        account.client.post(f"{path}/disable").json(),
    ]
    assert [one["secret"] for one in shown] == [None] * 4
    everything = account.client.get("/api/v1/events?type=daybook.*").text
    assert made["secret"] not in everything


def test_put_replaces_and_patch_changes(account: Account) -> None:
    made = account.webhook(name="one", timeout_seconds=5, metadata={"a": 1})
    path = f"{PATH}/{made['id']}"
    patched = account.client.patch(path, json={"retry": "fast", "metadata": None})
    assert patched.json()["version"] == 2
    assert patched.headers["ETag"] == '"2"'
    expected = {"name": "one", "timeout_seconds": 5, "retry": "fast", "metadata": {}}
    assert patched.json().items() >= expected.items()
    replaced = account.client.put(
        path, json={"url": "https://example.com/2", "event_types": ["b"]}
    ).json()
    expected = {"name": None, "timeout_seconds": 15, "retry": "durable", "version": 3}
    assert replaced.items() >= expected.items()
    assert account.get(path) == replaced


def test_what_was_read_may_be_sent_back(account: Account) -> None:
    made = account.webhook(name="one", metadata={"a": 1.5, "b": [True, None]})
    path = f"{PATH}/{made['id']}"
    shown = account.get(path)
    for method in ("PUT", "PATCH"):
        response = account.client.request(method, path, json=shown)
        assert (response.status_code, response.json()) == (200, shown)
        assert int(response.headers["Daybook-Position"]) >= 3


@pytest.mark.parametrize(
    "change",
    [
        {"state": "disabled"},
        {"secret": "whsec_x"},
        {"version": 7},
        {"id": ABSENT},
        {"health": "open"},
        {"disabled": None, "created_at": "2020-01-01T00:00:00.000000Z"},
        {"public_key": "whpk_x"},
        {"start": "now"},
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_is_only_shown_cannot_be_changed(
    account: Account, method: str, change: dict[str, Any]
) -> None:
    made = account.webhook()
    path = f"{PATH}/{made['id']}"
    response = account.client.request(method, path, json=account.get(path) | change)
    [error] = response.json()["errors"]
    assert (response.status_code, error["code"]) == (422, "unknown_field")
    assert error["pointer"] == f"#/{list(change)[-1]}"


def test_etags_guard_against_lost_updates(account: Account) -> None:
    path = f"{PATH}/{account.webhook()['id']}"

    def patch(tag: str, name: str) -> int:
        headers = {"If-Match": tag}
        return account.client.patch(
            path, json={"name": name}, headers=headers
        ).status_code

    assert patch('"1"', "a") == 200
    assert patch('"1"', "b") == 412
    assert patch('W/"2"', "b") == 412
    assert patch('"7", "2"', "c") == 200
    assert patch("*", "d") == 200
    assert patch("", "e") == 412
    stale = account.client.delete(path, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "etag_mismatch")
    assert account.get(path)["name"] == "d"


def test_two_patches_at_once_both_hold(account: Account) -> None:
    path = f"{PATH}/{account.webhook()['id']}"
    barrier = threading.Barrier(2)

    def patch(change: dict[str, str]) -> int:
        with account.server.client(account.key) as client:
            barrier.wait()
            return client.patch(path, json=change).status_code

    for round_ in range(10):
        changes = [{"name": f"n{round_}"}, {"description": f"d{round_}"}]
        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(patch, changes)) == [200, 200]
        shown = account.get(path)
        assert (shown["name"], shown["description"]) == (f"n{round_}", f"d{round_}")


def test_disable_and_enable_are_repeatable(account: Account) -> None:
    made = account.webhook()
    path = f"{PATH}/{made['id']}"
    off = account.client.post(f"{path}/disable", json={"reason": "too loud"}).json()
    assert (off["state"], off["version"]) == ("disabled", 2)
    assert off["disabled"] == {
        "at": off["updated_at"],
        "reason": "manual",
        "position": 4,
    }
    again = account.client.post(f"{path}/disable", json={})
    assert again.json() == off
    assert again.headers["Daybook-Position"] == "4"
    [event] = account.get("/api/v1/events", type="daybook.webhook.disabled")["data"]
    assert event["data"] == {"reason": "manual", "note": "too loud"}
    on = account.client.post(f"{path}/enable")
    assert (on.status_code, on.json()["state"]) == (200, "active")
    assert (on.json()["disabled"], on.json()["version"]) == (None, 3)
    assert account.client.post(f"{path}/enable", json={}).json() == on.json()


def test_a_deleted_webhook_is_an_absent_one(account: Account) -> None:
    path = f"{PATH}/{account.webhook()['id']}"
    response = account.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["Daybook-Position"] == "4"
    for method, tail in CALLS:
        gone = account.client.request(method, path + tail, json=body_for(method, tail))
        assert gone.status_code == 404, (method, tail)
    assert account.get(PATH)["data"] == []


CALLS = [
    ("GET", ""),
    ("PUT", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/enable"),
    ("POST", "/disable"),
    ("POST", "/test"),
    ("GET", "/deliveries"),
]


def body_for(method: str, tail: str) -> dict[str, Any] | None:
    if method in ("PUT", "PATCH"):
        return {"url": "https://example.com/", "event_types": ["*"]}
    return None if method in ("GET", "DELETE") else {}


@pytest.mark.parametrize(("method", "tail"), CALLS)
def test_anothers_webhook_is_an_absent_one(
    account: Account, other: Account, method: str, tail: str
) -> None:
    theirs = f"{PATH}/{other.webhook()['id']}"
    answers = []
    for path in (theirs, f"{PATH}/{ABSENT}", f"{PATH}/nonsense"):
        response = account.client.request(
            method, path + tail, json=body_for(method, tail)
        )
        problem = response.json()
        assert problem.pop("instance") == path + tail
        problem.pop("request_id")
        answers.append((response.status_code, problem))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 404
    assert other.get(theirs)["version"] == 1


def test_webhooks_are_listed_oldest_first(account: Account) -> None:
    made = [account.webhook(name=str(n))["id"] for n in range(5)]
    first = account.get(PATH, limit=2)
    second = account.get(PATH, limit=2, cursor=first["next"])
    third = account.get(PATH, limit=2, cursor=second["next"])
    shown = [one["id"] for page in (first, second, third) for one in page["data"]]
    assert shown == made
    assert third["next"] is None
    back = account.get(PATH, limit=2, cursor=third["prev"])
    assert back["data"] == second["data"]
    assert account.get(PATH, limit=2, cursor=back["prev"])["prev"] is None


def test_there_are_so_many_webhooks_a_tenant(account: Account, other: Account) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: account.webhook(), range(MOST_WEBHOOKS)))
    wanted = {"url": "https://example.com/x", "event_types": ["a"]}
    response = account.client.post(PATH, json=wanted)
    assert (response.status_code, response.json()["code"]) == (422, "limit_reached")
    other.webhook()
    account.client.delete(f"{PATH}/{account.get(PATH)['data'][0]['id']}")
    account.webhook()


def test_the_documented_settings_are_the_domains() -> None:
    """But for headers: the domain knows their names, never their values."""
    own = set(Settings.__struct_fields__) - {"header_names", "headers_version"}
    names = set(WebhookSettings.__struct_fields__)
    assert names == own | {"headers"}
    assert names == set(WebhookChanges.__struct_fields__)
