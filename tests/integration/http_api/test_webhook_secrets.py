"""Secrets and headers: own ones, rotation, and that nobody is ever shown them again."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import ids
from projections.webhooks.sealing import MOST_SIGNING
from tests.integration.http_api.conftest import Account

PATH = "/api/v1/webhooks"
OWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LONGEST = "whsec_" + base64.b64encode(b"s" * 64).decode()


def rotated(account: Account, webhook: dict[str, Any], **body: Any) -> dict[str, Any]:
    path = f"{PATH}/{webhook['id']}/rotate-secret"
    response = account.client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def signing(account: Account, webhook: dict[str, Any]) -> list[tuple[str, bool]]:
    """The secrets that sign now: scheme, and whether it is a current one."""
    with account.server.admin() as connection:
        rows = connection.execute(
            "select scheme, expires_at from webhook_secrets where webhook_id = %s and"
            " (expires_at is null or expires_at > now()) order by version desc, scheme",
            [ids.decode("wh", webhook["id"])],
        ).fetchall()
    return [(scheme, expires_at is None) for scheme, expires_at in rows]


@pytest.mark.parametrize("secret", [OWN, LONGEST])
def test_a_secret_of_ones_own(account: Account, secret: str) -> None:
    assert account.webhook(secret=secret)["secret"] == secret
    other = account.webhook()
    assert rotated(account, other, secret=secret)["secret"] == secret


def test_rotation(account: Account) -> None:
    webhook = account.webhook()
    before = datetime.now(UTC)
    answer = rotated(account, webhook)
    assert answer["secret"].startswith("whsec_")
    assert answer["secret"] != webhook["secret"]
    assert answer["public_key"] is None
    expires_at = datetime.fromisoformat(answer["previous_expires_at"])
    day = timedelta(days=1)
    assert before + day <= expires_at <= datetime.now(UTC) + day
    assert signing(account, webhook) == [("v1", True), ("v1", False)]
    shown = account.get(f"{PATH}/{webhook['id']}")
    assert (shown["version"], shown["secret"]) == (2, None)
    [event] = account.get("/api/v1/events", type="daybook.webhook.secret_rotated")[
        "data"
    ]
    assert event["data"] == {"previous_expires_at": answer["previous_expires_at"]}
    everything = account.client.get("/api/v1/events?type=daybook.*").text
    assert answer["secret"] not in everything


def test_rotation_without_an_overlap(account: Account) -> None:
    webhook = account.webhook()
    rotated(account, webhook)
    rotated(account, webhook, overlap_seconds=0)
    assert signing(account, webhook) == [("v1", True)]


def test_a_shorter_overlap_holds_for_all_before(account: Account) -> None:
    webhook = account.webhook()
    rotated(account, webhook, overlap_seconds=604800)
    last = rotated(account, webhook, overlap_seconds=60)
    later = rotated(account, webhook, overlap_seconds=3600)
    assert last["previous_expires_at"] < later["previous_expires_at"]
    with account.server.admin() as connection:
        rows = connection.execute(
            "select expires_at < now() + interval '2 minutes' from webhook_secrets"
            " where webhook_id = %s and expires_at is not null order by version",
            [ids.decode("wh", webhook["id"])],
        ).fetchall()
    assert [soon for (soon,) in rows] == [True, True, False]


def test_not_more_than_a_few_sign(account: Account) -> None:
    webhook = account.webhook()
    for _ in range(MOST_SIGNING - 1):
        rotated(account, webhook)
    path = f"{PATH}/{webhook['id']}/rotate-secret"
    response = account.client.post(path, json={})
    assert (response.status_code, response.json()["code"]) == (422, "limit_reached")
    assert account.get(f"{PATH}/{webhook['id']}")["version"] == MOST_SIGNING
    for _ in range(3):
        rotated(account, webhook, overlap_seconds=0)
    assert signing(account, webhook) == [("v1", True)]


def test_two_rotations_at_once_both_hold(account: Account) -> None:
    webhook = account.webhook()
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: rotated(account, webhook), range(2)))
    assert len({answer["secret"] for answer in answers}) == 2
    assert signing(account, webhook) == [("v1", True), ("v1", False), ("v1", False)]
    assert account.get(f"{PATH}/{webhook['id']}")["version"] == 3


def test_a_repeat_of_a_rotation_shows_no_secret(account: Account) -> None:
    webhook = account.webhook(signing=["v1", "v1a"])
    path = f"{PATH}/{webhook['id']}/rotate-secret"
    headers = {"Idempotency-Key": f"rotate-{webhook['id']}"}
    first, second = (
        account.client.post(path, json={}, headers=headers) for _ in range(2)
    )
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json() == first.json() | {"secret": None}
    assert account.get(f"{PATH}/{webhook['id']}")["version"] == 2


def test_a_key_pair_is_made_when_it_is_wanted_first(account: Account) -> None:
    plain = account.webhook()
    path = f"{PATH}/{plain['id']}"
    assert plain["public_key"] is None
    both = account.client.patch(path, json={"signing": ["v1", "v1a"]}).json()
    assert both["public_key"].startswith("whpk_")
    assert signing(account, plain) == [("v1a", True), ("v1", True)]
    assert account.get(path)["public_key"] == both["public_key"]
    one = account.client.patch(path, json={"signing": None}).json()
    assert (one["signing"], one["public_key"]) == (["v1"], None)
    again = account.client.patch(path, json={"signing": ["v1a"]}).json()
    assert again["public_key"] == both["public_key"]
    answer = rotated(account, plain)
    assert answer["public_key"] != both["public_key"]
    assert account.get(path)["public_key"] == answer["public_key"]
    assert (
        account.get(path, as_of=again["version"] + 2)["public_key"]
        == (both["public_key"])
    )


def test_header_values_are_never_shown(account: Account) -> None:
    given = {"Authorization": "Bearer s3cret", "X-Env": "prod"}
    hidden = {"Authorization": "***", "X-Env": "***"}
    webhook = account.webhook(headers=given)
    path = f"{PATH}/{webhook['id']}"
    assert webhook["headers"] == hidden
    assert account.get(path)["headers"] == hidden
    assert account.get(PATH)["data"][0]["headers"] == hidden
    everything = account.client.get("/api/v1/events?type=daybook.*").text
    assert "s3cret" not in everything
    with account.server.admin() as connection:
        [row] = connection.execute(
            "select sealed from webhook_headers where webhook_id = %s",
            [ids.decode("wh", webhook["id"])],
        ).fetchall()
    assert b"s3cret" not in row[0]


def test_stars_keep_a_value(account: Account) -> None:
    webhook = account.webhook(headers={"Authorization": "Bearer x", "X-Env": "prod"})
    path = f"{PATH}/{webhook['id']}"

    def version(**changes: Any) -> int:
        answer = account.client.patch(path, json=changes)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["version"])

    kept = {"Authorization": "***", "X-Env": "***"}
    assert version(headers=kept) == 1
    assert version(headers={"Authorization": "***", "X-Env": "prod"}) == 1
    assert version(name="x") == 2
    assert version(headers={"authorization": "***", "X-New": "n"}) == 3
    assert account.get(path)["headers"] == {"authorization": "***", "X-New": "***"}
    assert version(headers={"X-New": "m"}) == 4
    assert version(headers=None) == 5
    assert account.get(path)["headers"] == {}
    refused = account.client.patch(path, json={"headers": {"X-New": "***"}})
    assert refused.status_code == 422


def test_put_without_headers_takes_them_away(account: Account) -> None:
    webhook = account.webhook(headers={"X-Env": "prod"})
    path = f"{PATH}/{webhook['id']}"
    shown = account.get(path)
    same = account.client.put(path, json=shown)
    assert same.json() == shown
    body = {"url": webhook["url"], "event_types": ["*"]}
    assert account.client.put(path, json=body).json()["headers"] == {}
