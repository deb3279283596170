"""`Idempotency-Key`: done once however often it is sent, and answered alike."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api import idempotency
from domain import ids
from tests.integration.http_api.conftest import Account

EVENTS, WEBHOOKS = "/api/v1/events", "/api/v1/webhooks"
EVENT = {"type": "a.b", "data": {"n": 1}}
HOOK = {"url": "https://example.com/hook", "event_types": ["*"]}
OWN = {"idempotent-replayed", "x-request-id", "date", "ratelimit"}


def send(account: Account, path: str, body: Any, key: str = "k") -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return account.client.post(path, json=body, headers=headers)


def common(response: httpx.Response) -> dict[str, str]:
    """The headers that a repeat has as well."""
    return {n: v for n, v in response.headers.items() if n not in OWN}


def is_replayed(response: httpx.Response) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


def test_fifty_at_once_are_one_event(account: Account) -> None:
    body = json.dumps(EVENT).encode()
    headers = {"Idempotency-Key": "fifty", "Content-Type": "application/json"}

    def publish(_: int) -> httpx.Response:
        with account.server.client(account.key) as client:
            return client.post(EVENTS, content=body, headers=headers)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(publish, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert all(common(answer) == common(answers[0]) for answer in answers)
    assert sum(not is_replayed(answer) for answer in answers) == 1
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 50
    assert len(account.get(EVENTS)["data"]) == 1


def test_a_batch_is_answered_item_by_item_again(account: Account) -> None:
    account.publish(id="known-before", type="a.b")
    batch = {
        "events": [EVENT, {"type": "a.b", "data": {}, "id": "known-before"}, EVENT]
    }
    first, second = (send(account, f"{EVENTS}/batch", batch) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert [one["replayed"] for one in second.json()["events"]] == [False, True, False]
    assert (is_replayed(first), is_replayed(second)) == (False, True)
    assert len(account.get(EVENTS)["data"]) == 3


def test_another_request_under_the_key_is_refused(account: Account) -> None:
    assert send(account, EVENTS, EVENT).status_code == 202
    for path, body in (
        (EVENTS, EVENT | {"type": "a.c"}),
        (EVENTS, {"no": "event"}),
        (f"{EVENTS}/batch", {"events": [EVENT]}),
        (WEBHOOKS, HOOK),
    ):
        refused = send(account, path, body)
        assert (refused.status_code, refused.json()["code"]) == (
            422,
            "idempotency_mismatch",
        )
    assert is_replayed(send(account, EVENTS, EVENT))


def test_a_key_is_its_tenants_own(account: Account, other: Account) -> None:
    assert not is_replayed(send(account, EVENTS, EVENT))
    assert not is_replayed(send(other, EVENTS, EVENT))
    # Every key of the tenant means the same by it.
    client = account.with_scopes("events:write")
    again = client.post(EVENTS, json=EVENT, headers={"Idempotency-Key": "k"})
    assert is_replayed(again)


def test_a_webhook_is_made_once_and_its_secret_shown_once(account: Account) -> None:
    first, second = (send(account, WEBHOOKS, HOOK) for _ in range(2))
    assert first.json()["secret"].startswith("whsec_")
    assert second.json() == first.json() | {"secret": None}
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.headers["Daybook-Position"] == first.headers["Daybook-Position"]
    # The answer is the one of then, whatever the webhook has become.
    account.client.delete(first.headers["Location"])
    assert send(account, WEBHOOKS, HOOK).json() == second.json()
    assert account.get(WEBHOOKS)["data"] == []


def test_a_key_is_made_once_and_shown_once(
    account: Account, operator: httpx.Client
) -> None:
    body = {"name": "n", "scopes": ["events:read"]}
    first, second = (send(account, "/api/v1/keys", body) for _ in range(2))
    assert first.json()["key"].startswith("dbk_")
    assert second.json() == first.json() | {"key": None}
    headers = {"Idempotency-Key": ids.fresh("key")}
    by_operator = [
        operator.post(
            "/api/v1/keys",
            json=body | {"tenant_id": account.tenant_id},
            headers=headers,
        )
        for _ in range(2)
    ]
    assert by_operator[1].json() == by_operator[0].json() | {"key": None}


def test_the_operators_tenant_is_made_once(operator: httpx.Client) -> None:
    headers = {"Idempotency-Key": ids.fresh("ten")}
    first, second = (
        operator.post("/api/v1/tenants", json={"name": "once"}, headers=headers)
        for _ in range(2)
    )
    assert (second.status_code, second.json()) == (201, first.json())
    assert is_replayed(second)


REFUSED = {
    "invalid": {"type": "a b", "data": {}},
    "too_deep": {"type": "a", "data": {}, "nothing": 1},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_for_good_is_kept(account: Account, name: str) -> None:
    first, second = (send(account, EVENTS, REFUSED[name]) for _ in range(2))
    assert first.status_code == 422
    assert (second.content, common(second)) == (first.content, common(first))
    assert is_replayed(second)


def test_an_id_that_is_taken_is_kept(account: Account) -> None:
    account.publish(id="taken-once")
    taken = EVENT | {"id": "taken-once"}
    first, second = (send(account, EVENTS, taken) for _ in range(2))
    assert (first.status_code, first.json()["code"]) == (409, "event_exists")
    assert (second.content, common(second)) == (first.content, common(first))
    assert is_replayed(second)


def test_what_may_change_leaves_the_key_free(account: Account) -> None:
    late = EVENT | {"stream": "s/1", "expected_version": 1}
    assert send(account, EVENTS, late).status_code == 409
    account.publish(stream="s/1")
    assert send(account, EVENTS, late).status_code == 202
    # The key was free for anything else, too.
    absent = f"{WEBHOOKS}/{ids.fresh('wh')}/enable"
    assert send(account, absent, {}, "other").status_code == 404
    assert send(account, EVENTS, EVENT, "other").status_code == 202


def test_enabling_again_by_a_repeat_changes_nothing(account: Account) -> None:
    one = f"{WEBHOOKS}/{account.webhook()['id']}"
    disabled = send(account, f"{one}/disable", {"reason": "x"}, "off")
    account.client.post(f"{one}/enable")
    repeated = send(account, f"{one}/disable", {"reason": "x"}, "off")
    assert (repeated.content, is_replayed(repeated)) == (disabled.content, True)
    assert account.get(one)["state"] == "active"


BAD_KEYS = ["", "x" * 256, "a b", "schlüssel", "tab\there"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_are_visible_ascii(account: Account, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    response = account.client.post(EVENTS, json=EVENT, headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    assert response.json()["errors"][0]["parameter"] == "Idempotency-Key"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_only_post_takes_a_key(account: Account, method: str) -> None:
    one = f"{WEBHOOKS}/{account.webhook()['id']}"
    response = account.client.request(method, one, headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_field")


def test_after_a_day_the_key_is_free(account: Account) -> None:
    first = send(account, EVENTS, EVENT).json()
    with account.server.admin() as admin:
        admin.execute(
            "update idempotency_keys set kept_at = kept_at - interval '24 hours'"
            " where tenant_id = %s",
            [ids.decode("ten", account.tenant_id)],
        )
    again = send(account, EVENTS, EVENT)
    assert not is_replayed(again)
    assert again.json()["id"] != first["id"]
    assert is_replayed(send(account, EVENTS, EVENT))


WEBHOOK, KEY = f"{WEBHOOKS}/{{webhook}}", "/api/v1/keys/{key}"
COMMANDS: dict[str, Any] = {
    WEBHOOKS: HOOK,
    f"{WEBHOOK}/disable": {"reason": "x"},
    f"{WEBHOOK}/rotate-secret": {},
    f"{WEBHOOK}/replay": {"from": "beginning"},
    "/api/v1/keys": {"name": "n", "scopes": ["events:read"]},
    f"{KEY}/rotate": {},
}


@pytest.mark.parametrize("path", COMMANDS)
def test_what_was_done_is_known_though_its_answer_was_not_kept(
    account: Account, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process dies between the two; tests/acceptance kills it indeed."""
    key = account.client.post("/api/v1/keys", json=COMMANDS["/api/v1/keys"]).json()
    body = COMMANDS[path]
    path = path.format(webhook=account.webhook()["id"], key=key["id"])

    async def lose(*_: Any) -> None:
        """The answer goes nowhere."""

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "_keep", lose)
        first = send(account, path, body)
    assert first.is_success, first.text
    done = account.get(EVENTS, type="daybook.*")["position"]
    second, third = (send(account, path, body) for _ in range(2))
    assert account.get(EVENTS, type="daybook.*")["position"] == done
    assert is_replayed(second)
    assert second.status_code == first.status_code
    assert second.headers["Daybook-Position"] == first.headers["Daybook-Position"]
    for name in ("secret", "key"):
        assert second.json().get(name) is None
    told = {n: v for n, v in first.json().items() if n not in ("secret", "key")}
    assert {n: second.json()[n] for n in told} == told
    assert (third.content, is_replayed(third)) == (second.content, True)
