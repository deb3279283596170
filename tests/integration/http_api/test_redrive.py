"""Redriving over HTTP: which dead deliveries are owed again, and how it is asked for."""

from typing import Any

import pytest

from domain import ids
from domain.ids import DeliveryKey
from projections.webhooks import by_hand
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_deliveries import HandOff, Worker

OWED = """
    select position, attempts, base, trigger, once,
        next_attempt_at <= clock_timestamp() as is_due
    from owed where tenant_id = %(tenant)s order by position
"""


class Grave:
    """A webhook with six dead deliveries, and one that succeeded."""

    def __init__(self, account: Account, hand_off: HandOff) -> None:
        self.account = account
        self.webhook = account.webhook()
        self.positions = [account.publish()["position"] for _ in range(7)]
        hand_off()
        self.worker = Worker(account, self.webhook)
        self.worker.finish(self.positions[:6], "dead", 503, "status")
        self.worker.finish(self.positions[6:], "succeeded", 200, "")

    def ask(self, **body: Any) -> Any:
        path = f"/api/v1/webhooks/{self.webhook['id']}/redrive"
        return self.account.client.post(path, json=body)

    def redriven(self, **body: Any) -> int:
        response = self.ask(**body)
        assert response.status_code == 202, response.text
        assert response.headers["Daybook-Position"]
        return int(response.json()["count"])

    def owed(self) -> list[tuple[Any, ...]]:
        with self.account.server.admin() as connection:
            return connection.execute(OWED, self.worker.params).fetchall()

    def ids(self) -> list[str]:
        return [ids.delivery(DeliveryKey(position, 1)) for position in self.positions]


@pytest.fixture
def grave(account: Account, hand_off: HandOff) -> Grave:
    return Grave(account, hand_off)


def test_all_of_them(grave: Grave) -> None:
    assert grave.redriven(all=True) == 6
    assert grave.owed() == [
        (position, 1, 1, "redrive", False, True) for position in grave.positions[:6]
    ]
    assert grave.redriven(all=True) == 0
    one = grave.account.get(f"/api/v1/webhook-deliveries/{grave.ids()[0]}")
    assert (one["state"], one["attempt_count"]) == ("retrying", 1)


def test_some_by_their_ids(grave: Grave) -> None:
    """Of another webhook, of none, of what is not dead: passed over, like no ids."""
    absent = ids.delivery(DeliveryKey(grave.positions[5], 2))
    chosen = [*grave.ids()[1:3], grave.ids()[6], absent, "dlv_x", "nonsense"]
    assert grave.redriven(delivery_ids=chosen + chosen) == 2
    assert [row[0] for row in grave.owed()] == grave.positions[1:3]
    assert grave.redriven(delivery_ids=[]) == 0


def test_those_of_an_interval(grave: Grave) -> None:
    listed = grave.account.get("/api/v1/webhook-deliveries")["data"][::-1]
    second, fourth = listed[1]["created_at"], listed[3]["created_at"]
    assert grave.redriven(since=second, until=fourth) == 2
    assert grave.redriven(until=second) == 1
    assert grave.redriven(since=fourth) == 3


MIXED = """
    update results set status_code = (array[null, 503, 404])[1 + position %% 3],
        finished_at = finished_at - case when position = %(old)s
            then interval '91 days' else interval '0' end
    where tenant_id = %(tenant)s and state = 'dead'"""


@pytest.mark.parametrize("step", [1, 2, 3])
def test_step_by_step_through_every_status(
    grave: Grave, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """And what is kept no longer is no more redriven than it is shown."""
    monkeypatch.setattr(by_hand, "STEP", step)
    grave.worker.run(MIXED, old=grave.positions[2])
    created = grave.account.get("/api/v1/webhook-deliveries", state="dead")["data"]
    since = created[-2]["created_at"]
    assert grave.redriven(since=since) == 4
    assert grave.redriven(all=True) == 1
    kept = [each for each in grave.positions[:6] if each != grave.positions[2]]
    assert [row[0] for row in grave.owed()] == kept
    assert grave.redriven(delivery_ids=grave.ids()) == 0


def test_those_of_a_disabled_webhook_wait(grave: Grave) -> None:
    grave.account.client.post(f"/api/v1/webhooks/{grave.webhook['id']}/disable")
    assert grave.redriven(all=True) == 6
    assert len(grave.owed()) == 6


def test_those_of_replays_are_told_by_when_it_was_asked_for(grave: Grave) -> None:
    path = f"/api/v1/webhooks/{grave.webhook['id']}/replay"
    replay = grave.account.client.post(path, json={"from": "beginning"}).json()
    grave.worker.run(REPLAYED, first=grave.positions[0])
    assert grave.redriven(until=replay["created_at"]) == 6
    assert grave.redriven(since=replay["created_at"]) == 1
    key = DeliveryKey(grave.positions[0], 1, 1)
    one = grave.account.get(f"/api/v1/webhook-deliveries/{ids.delivery(key)}")
    assert (one["replay_id"], one["state"]) == (replay["id"], "retrying")
    assert one["created_at"] == replay["created_at"]
    assert grave.account.get(f"/api/v1/replays/{replay['id']}")["dead"] == 0


REPLAYED = """
    with counted as (update replays set handed_off = 1, dead = 1
        where tenant_id = %(tenant)s)
    insert into results (
        tenant_id, position, webhook_id, replay, recorded_at, webhook_version, state,
        attempts, finished_at)
    select tenant_id, position, %(webhook)s, 1, recorded_at, 1, 'dead', 1,
        clock_timestamp()
    from events where tenant_id = %(tenant)s and position = %(first)s"""


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "since": "2026-01-01T00:00:00Z"},
        {"delivery_ids": [], "until": "2026-01-01T00:00:00Z"},
        {"all": True, "delivery_ids": []},
    ],
)
def test_one_way_to_say_which(grave: Grave, body: dict[str, Any]) -> None:
    response = grave.ask(**body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    assert grave.owed() == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"since": "now"}, "#/since", "invalid"),
        ({"delivery_ids": ["dlv_x"] * 1001}, "#/delivery_ids", "invalid"),
        ({"delivery_ids": [1]}, "#/delivery_ids/0", "invalid"),
        ({"state": "dead"}, "#/state", "unknown_field"),
    ],
)
def test_what_makes_no_sense(
    grave: Grave, body: dict[str, Any], pointer: str, code: str
) -> None:
    response = grave.ask(**body)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response.json()["errors"][0]["pointer"] == pointer


def test_a_repeat_redrives_nothing_more(grave: Grave) -> None:
    path = f"/api/v1/webhooks/{grave.webhook['id']}/redrive"
    for replayed in (None, "true"):
        response = grave.account.client.post(
            path, json={"all": True}, headers={"Idempotency-Key": "once"}
        )
        assert response.json() == {"count": 6}
        assert response.headers.get("Idempotent-Replayed") == replayed


def test_nobody_redrives_anothers(grave: Grave, other: Account) -> None:
    mine = other.webhook()
    path = f"/api/v1/webhooks/{grave.webhook['id']}/redrive"
    assert other.client.post(path, json={"all": True}).status_code == 404
    path = f"/api/v1/webhooks/{mine['id']}/redrive"
    answer = other.client.post(path, json={"delivery_ids": grave.ids()})
    assert answer.json() == {"count": 0}
    assert grave.owed() == []


def test_who_may(grave: Grave) -> None:
    path = f"/api/v1/webhooks/{grave.webhook['id']}/redrive"
    allowed = grave.account.with_scopes("deliveries:retry")
    assert allowed.post(path, json={"all": True}).status_code == 202
    other = grave.account.with_scopes("webhooks:write", "webhooks:read")
    assert other.post(path, json={"all": True}).status_code == 403
