"""Replays over HTTP: what is asked for, what it would owe, how it is shown, its end."""

from typing import Any

import pytest

from domain import ids
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_deliveries import HandOff, Worker

OURS = ["daybook.webhook.*"]
ABSENT = "rpl_" + "0" * 26


@pytest.fixture
def webhook(account: Account) -> dict[str, Any]:
    """A webhook, and after its own event ten: a.0, b.1, a.2 and so on; see POSITIONS."""
    made = account.webhook(event_types=["a.*"])
    for n in range(10):
        account.publish(f"{'ab'[n % 2]}.{n}", data={"n": n}, stream=f"s/{n % 3}")
    return made


def asked(account: Account, webhook: dict[str, Any], **body: Any) -> Any:
    path = f"/api/v1/webhooks/{webhook['id']}/replay"
    return account.client.post(path, json={"from": "beginning"} | body)


def counted(account: Account, webhook: dict[str, Any], **body: Any) -> int:
    response = asked(account, webhook, dry_run=True, **body)
    assert response.status_code == 200, response.text
    return int(response.json()["count"])


def test_a_dry_run_counts_and_owes_nothing(
    account: Account, webhook: dict[str, Any]
) -> None:
    head = account.get("/api/v1/events", limit=500)["position"]
    answer = asked(account, webhook, dry_run=True).json()
    assert answer == {
        "dry_run": True,
        "count": 5,
        "from": {"position": 1},
        "to": {"position": head},
    }
    path = f"/api/v1/webhooks/{webhook['id']}/replays"
    assert account.get(path) == {"data": [], "next": None, "prev": None}


def test_what_is_counted_is_what_matches(
    account: Account, webhook: dict[str, Any]
) -> None:
    events = account.get("/api/v1/events")["data"]
    third, eighth = events[3], events[8]
    assert counted(account, webhook, event_types=["b.*"]) == 5
    assert counted(account, webhook, event_types=["a.2", "b.1"]) == 2
    assert counted(account, webhook, event_types=["*"]) == 10
    assert counted(account, webhook, event_types=["x.*"]) == 0
    place = {"position": third["position"]}
    assert counted(account, webhook, event_types=["*"], **{"from": place}) == 7
    assert counted(account, webhook, event_types=["*"], to=place) == 4
    times = {
        "from": {"time": third["recorded_at"]},
        "to": {"time": eighth["recorded_at"]},
    }
    assert counted(account, webhook, event_types=["*"], **times) == 6
    assert counted(account, webhook, to="now") == 5
    assert counted(account, webhook, **{"from": "now"}) == 0


def test_streams_and_filter_are_the_webhooks(account: Account) -> None:
    for n in range(6):
        account.publish("a.b", data={"n": n}, stream=f"s/{n % 2}")
    webhook = account.webhook(event_types=["a.*"])
    change = (
        "update webhooks set streams = %(streams)s, filter = %(filter)s::jsonb "
        "where tenant_id = %(tenant)s"
    )
    worker = Worker(account, webhook)
    worker.run(change, streams=["s/1"], filter=None)
    assert counted(account, webhook) == 3
    worker.run(change, streams=["s/*"], filter='{"data.n": {"$gte": 3}}')
    assert counted(account, webhook) == 3
    worker.run(change, streams=["s/1", "t*"], filter='{"data.n": {"$gte": 3}}')
    assert counted(account, webhook) == 2


def test_a_webhook_is_not_told_of_itself(account: Account) -> None:
    """Of what others do it is, when it asks for Daybook's own."""
    one, other = (account.webhook(event_types=OURS) for _ in range(2))
    account.client.post(f"/api/v1/webhooks/{one['id']}/disable")
    # Of three events two are about the first, and one is about the other.
    assert counted(account, one) == 1
    assert counted(account, other) == 2


def test_only_failed_leaves_out_what_succeeded(
    account: Account, webhook: dict[str, Any], hand_off: HandOff
) -> None:
    hand_off()
    owed = account.get(f"/api/v1/webhooks/{webhook['id']}/deliveries")["data"]
    positions = [one["position"] for one in owed]
    worker = Worker(account, webhook)
    worker.finish(positions[:2], "succeeded", 200, "")
    worker.finish(positions[2:3], "dead", 503, "status")
    assert counted(account, webhook) == 5
    assert counted(account, webhook, only_failed=True) == 3
    assert counted(account, webhook, only_failed=True, event_types=["*"]) == 8


def test_a_replay_as_it_begins(account: Account, webhook: dict[str, Any]) -> None:
    response = asked(account, webhook, event_types=["b.*"], fresh_ids=True)
    assert response.status_code == 202
    replay = response.json()
    head = int(response.headers["Daybook-Position"])
    assert response.headers["Location"] == f"/api/v1/replays/{replay['id']}"
    assert replay == {
        "id": replay["id"],
        "webhook_id": webhook["id"],
        "state": "running",
        "from": {"position": 1},
        "to": {"position": head - 1},
        "event_types": ["b.*"],
        "only_failed": False,
        "count": 5,
        "handed_off": 0,
        "succeeded": 0,
        "dead": 0,
        "position": 0,
        "created_at": replay["created_at"],
        "finished_at": None,
    }
    assert account.get(response.headers["Location"]) == replay
    told = account.get("/api/v1/events", type="daybook.replay.requested")["data"]
    assert [event["position"] for event in told] == [head]


def test_replays_are_listed_newest_first(
    account: Account, webhook: dict[str, Any]
) -> None:
    made = [asked(account, webhook).json()["id"] for _ in range(3)]
    path = f"/api/v1/webhooks/{webhook['id']}/replays"
    first = account.get(path, limit=2)
    assert [one["id"] for one in first["data"]] == made[:0:-1]
    second = account.get(path, limit=2, cursor=first["next"])
    assert [one["id"] for one in second["data"]] == made[:1]
    back = account.get(path, limit=2, cursor=second["prev"])
    assert back["data"] == first["data"]


def test_a_replay_is_cancelled_once(account: Account, webhook: dict[str, Any]) -> None:
    path = asked(account, webhook).headers["Location"]
    gone = account.client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    shown = account.get(path)
    assert (shown["state"], shown["finished_at"] is None) == ("cancelled", False)
    again = account.client.delete(path)
    assert again.status_code == 204
    assert again.headers["Daybook-Position"] == gone.headers["Daybook-Position"]
    assert account.get(path) == shown


def test_four_are_running_at_most(account: Account, webhook: dict[str, Any]) -> None:
    paths = [asked(account, webhook).headers["Location"] for _ in range(4)]
    refused = asked(account, webhook)
    assert (refused.status_code, refused.json()["code"]) == (422, "limit_reached")
    assert asked(account, webhook, dry_run=True).status_code == 200
    account.client.delete(paths[0])
    assert asked(account, webhook).status_code == 202


def test_those_of_a_deleted_webhook_are_cancelled(
    account: Account, webhook: dict[str, Any]
) -> None:
    path = asked(account, webhook).headers["Location"]
    account.client.delete(f"/api/v1/webhooks/{webhook['id']}")
    assert account.get(path)["state"] == "cancelled"
    assert asked(account, webhook).status_code == 404


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no such word": ({"from": "later"}, "invalid", "#/from"),
    "no place": ({"from": None}, "invalid", "#/from"),
    "neither": ({"from": {}}, "invalid", "#/from"),
    "both": (
        {"from": {"position": 1, "time": "2026-01-01T00:00:00Z"}},
        "invalid",
        "#/from",
    ),
    "another": ({"to": {"place": 1}}, "unknown_field", "#/to/place"),
    "negative": ({"from": {"position": -1}}, "invalid", "#/from/position"),
    "beyond the head": ({"to": {"position": 1000}}, "invalid", "#/to/position"),
    "without an offset": (
        {"from": {"time": "2026-01-01T00:00:00"}},
        "invalid",
        "#/from/time",
    ),
    "backwards": (
        {"from": {"position": 9}, "to": {"position": 2}},
        "invalid",
        "#/to",
    ),
    "pattern": ({"event_types": ["a*"]}, "pattern_invalid", "#/event_types/0"),
    "no pattern": ({"event_types": []}, "pattern_invalid", "#/event_types"),
    "unknown": ({"until": "now"}, "unknown_field", "#/until"),
    "a text": ({"dry_run": "yes"}, "invalid", "#/dry_run"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_refused(
    account: Account, webhook: dict[str, Any], name: str
) -> None:
    body, code, pointer = BAD[name]
    response = asked(account, webhook, **body)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["errors"][0]["pointer"] == pointer


def test_where_it_begins_must_be_said(
    account: Account, webhook: dict[str, Any]
) -> None:
    path = f"/api/v1/webhooks/{webhook['id']}/replay"
    response = account.client.post(path, json={})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/from"


def test_a_repeat_is_the_same_replay(account: Account, webhook: dict[str, Any]) -> None:
    path = f"/api/v1/webhooks/{webhook['id']}/replay"
    body, key = {"from": "beginning"}, {"Idempotency-Key": "once"}
    first = account.client.post(path, json=body, headers=key)
    again = account.client.post(path, json=body, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json()) == (202, first.json())


def test_anothers_replays_are_not_there(
    account: Account, other: Account, webhook: dict[str, Any]
) -> None:
    path = asked(account, webhook).headers["Location"]
    for method, asked_for in (
        ("GET", path),
        ("DELETE", path),
        ("GET", f"/api/v1/replays/{ABSENT}"),
        ("DELETE", "/api/v1/replays/nonsense"),
        ("GET", f"/api/v1/webhooks/{webhook['id']}/replays"),
        ("GET", f"/api/v1/replays/{ids.fresh('wh')}"),
    ):
        response = other.client.request(method, asked_for)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    response = asked(other, webhook)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert account.get(path)["state"] == "running"


def test_who_may_replay(account: Account, webhook: dict[str, Any]) -> None:
    reader = account.with_scopes("webhooks:read", "deliveries:retry")
    path = asked(account, webhook).headers["Location"]
    assert reader.get(path).status_code == 200
    for method, asked_for in (
        ("DELETE", path),
        ("POST", f"/api/v1/webhooks/{webhook['id']}/replay"),
    ):
        assert reader.request(method, asked_for).status_code == 403
