"""All that a webhook can be set to, as it is and as it was; and which of them match."""

from typing import Any

import pytest

from tests.integration.http_api.conftest import Account

PATH = "/api/v1/webhooks"
ALL: dict[str, Any] = {
    "url": "https://example.com/all",
    "event_types": ["heures.*", "daybook.webhook.*"],
    "streams": ["heures/*", "site/7"],
    "filter": {"data.minutes": {"$gt": 0.5}, "$not": {"data.big": 2**70}},
    "name": "payroll",
    "description": "Hours.\nAll of them.",
    "headers": {"X-Env": "***"},
    "format": "cloudevents_binary",
    "signing": ["v1a", "v1"],
    "retry": {"delays": [1, 60], "jitter": 0.5, "max_age_seconds": 3600},
    "timeout_seconds": 30,
    "rate_per_second": 0.5,
    "max_in_flight": 50,
    "ordering": "stream",
    "on_dead": "hold",
    "disable_after": {"failures": 3, "over_seconds": 0},
    "keep_response": True,
    "networks": ["203.0.113.0/24", "2001:db8::/32"],
    "metadata": {"a": [1]},
}


def made(account: Account) -> dict[str, Any]:
    return account.webhook(**(ALL | {"headers": {"X-Env": "prod"}}))


def test_every_setting_is_kept(account: Account) -> None:
    webhook = made(account)
    assert webhook.items() >= ALL.items()
    shown = account.get(f"{PATH}/{webhook['id']}")
    assert shown == webhook | {"secret": None}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_what_was_read_may_be_sent_back(account: Account, method: str) -> None:
    webhook = made(account)
    path = f"{PATH}/{webhook['id']}"
    shown = account.get(path)
    response = account.client.request(method, path, json=shown)
    assert (response.status_code, response.json()) == (200, shown)


def test_null_is_the_default(account: Account) -> None:
    webhook = made(account)
    path = f"{PATH}/{webhook['id']}"
    keep = {"url", "event_types"}
    nulls = {name: None for name in ALL if name not in keep}
    patched = account.client.patch(path, json=nulls).json()
    plain = account.webhook(**{name: ALL[name] for name in keep})
    assert {name: patched[name] for name in ALL} == {name: plain[name] for name in ALL}


def test_what_is_left_out_of_an_object_is_its_default(account: Account) -> None:
    webhook = account.webhook(
        retry={"delays": [5]}, disable_after={"failures": 1}, rate_per_second=5
    )
    assert webhook["retry"] == {"delays": [5], "jitter": 0.2, "max_age_seconds": None}
    assert webhook["disable_after"] == {"failures": 1, "over_seconds": 86400}
    assert webhook["rate_per_second"] == 5


def test_what_is_older_is_owed_from_its_start(account: Account) -> None:
    first = account.publish("a.b")
    last = account.publish("a.b")

    def older(start: Any) -> list[int]:
        webhook = account.webhook(start=start)
        assert webhook["version"] == 1
        listed = account.get(f"{PATH}/{webhook['id']}/replays")["data"]
        assert all(one["to"]["position"] >= last["position"] for one in listed)
        account.client.delete(f"{PATH}/{webhook['id']}")
        return [one["from"]["position"] for one in listed]

    assert older("beginning") == [1]
    assert older({"time": last["recorded_at"]}) == [last["position"]]
    assert older({"position": first["position"]}) == [first["position"]]
    assert older("now") == older(None) == older({"time": "2100-01-01T00:00:00Z"}) == []


def test_as_it_was(account: Account) -> None:
    webhook = made(account)
    path = f"{PATH}/{webhook['id']}"
    first = account.get(path)
    published = account.publish("a.b")
    position = int(published["position"])
    account.client.patch(path, json={"name": "later", "filter": None})
    account.client.post(f"{path}/disable", json={"reason": "too loud"})
    off = account.get(path)
    account.client.post(f"{path}/enable")
    account.client.delete(path)
    gone = int(account.publish("a.b")["position"])

    past = account.get(path, as_of=position)
    assert past == first | {"health": None}
    assert account.get(path, as_of=position - 1) == past
    disabled = account.get(path, as_of=position + 2)
    assert disabled == off | {"health": None}
    assert disabled["disabled"]["reason"] == "manual"
    assert account.get(path, as_of=position + 3)["state"] == "active"
    for absent in (position - 2, gone):
        response = account.client.get(path, params={"as_of": absent})
        assert response.status_code == 404
    beyond = account.client.get(path, params={"as_of": gone + 1})
    assert (beyond.status_code, beyond.json()["code"]) == (409, "log_rewound")
    nonsense = account.client.get(path, params={"as_of": "yesterday"})
    assert nonsense.status_code == 422
    assert account.get(path, as_of=published["recorded_at"]) == past


def test_another_tenants_past_is_absent(account: Account, other: Account) -> None:
    theirs = other.webhook()
    position = int(account.publish("a.b")["position"])
    path = f"{PATH}/{theirs['id']}"
    response = account.client.get(path, params={"as_of": position})
    assert response.status_code == 404


def match(account: Account, **event: Any) -> list[dict[str, Any]]:
    response = account.client.post(f"{PATH}/match", json=event)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def test_which_webhooks_match_and_what_refuses_first(
    account: Account, other: Account
) -> None:
    other.webhook(event_types=["heures.*"])
    chosen = {"data.minutes": {"$gt": 0}}
    webhooks = [
        account.webhook(event_types=["heures.*"]),
        account.webhook(event_types=["heures.*"], filter=chosen),
        account.webhook(event_types=["heures.*"], streams=["site/*"], filter=chosen),
        account.webhook(event_types=["site.*"], streams=["site/*"]),
        account.webhook(event_types=["heures.*"]),
    ]
    account.client.post(f"{PATH}/{webhooks[4]['id']}/disable")
    found = match(
        account, type="heures.validated", stream="heures/77", data={"minutes": 0}
    )
    assert found == [
        {
            "webhook_id": webhook["id"],
            "matches": refused_by is None,
            "refused_by": refused_by,
            "detail": detail,
        }
        for webhook, (refused_by, detail) in zip(
            webhooks,
            [
                (None, None),
                ("filter", "/data.minutes/$gt: 0 is not more than 0"),
                ("streams", "no pattern names the stream heures/77"),
                ("event_types", "no pattern names the type heures.validated"),
                ("state", "the webhook is disabled"),
            ],
            strict=True,
        )
    ]
    assert [
        one["matches"] for one in match(account, type="daybook.webhook.created")
    ] == ([False] * 5)


def test_matching_by_everything_but_data(account: Account) -> None:
    account.webhook(
        filter={
            "subject": "worker/1",
            "metadata.urgent": True,
            "source": "/erp",
            "actor.type": "key",
        }
    )
    event = {"subject": "worker/1", "metadata": {"urgent": True}, "source": "/erp"}
    assert match(account, type="a", **event)[0]["matches"]
    for name in event:
        assert not match(account, type="a", **(event | {name: None}))[0]["matches"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/type"),
        ({"type": "a b"}, "#/type"),
        ({"type": "a", "stream": "a//b"}, "#/stream"),
        ({"type": "a", "data": []}, "#/data"),
        ({"type": "a", "subject": ""}, "#/subject"),
        ({"type": "a", "source": "a b"}, "#/source"),
        ({"type": "a", "metadata": []}, "#/metadata"),
        ({"type": "a", "payload": {}}, "#/payload"),
    ],
)
def test_what_cannot_be_matched(
    account: Account, body: dict[str, Any], pointer: str
) -> None:
    response = account.client.post(f"{PATH}/match", json=body)
    assert response.status_code == 422
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]


def test_matching_needs_to_read_only(account: Account) -> None:
    reader = account.with_scopes("webhooks:read")
    assert reader.post(f"{PATH}/match", json={"type": "a"}).status_code == 200
    publisher = account.with_scopes("events:write")
    refused = publisher.post(f"{PATH}/match", json={"type": "a"})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
