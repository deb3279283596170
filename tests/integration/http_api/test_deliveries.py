"""Deliveries: states, filters, attempts, retries by hand; what a tenant may see."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain import ids
from projections.vault import Vault, snippet_place
from tests.integration.http_api.conftest import Account

PATH = "/api/v1/webhook-deliveries"
ABSENT = "dlv_" + "0" * 25 + "1"
HandOff = Callable[[], None]

FINISH = """
    with gone as (
        delete from owed where tenant_id = %(tenant)s and webhook_id = %(webhook)s
            and position = any(%(positions)s)
        returning *)
    insert into results (
        tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version,
        state, attempts, status_code, error, finished_at)
    select tenant_id, position, webhook_id, replay, recorded_at, sequence,
        webhook_version, %(state)s, 1, %(status)s, %(error)s, clock_timestamp()
    from gone"""
ATTEMPT = """
    insert into attempts (
        tenant_id, position, webhook_id, replay, number, recorded_at, trigger, outcome,
        started_at, duration_ms, status_code, error, detail, retry_after_seconds,
        webhook_version, secret_version, body_bytes, body_sha256, response_headers,
        response_bytes)
    select tenant_id, position, webhook_id, replay, %(number)s, recorded_at, 'schedule',
        'failed', %(at)s, 41.72, 503, 'status', '503 Service Unavailable', 5, 1, 1, 212,
        '\\x9f2c', '{"retry-after": "5"}', 18
    from owed where tenant_id = %(tenant)s and position = %(position)s"""

SAID = """
    update attempts set snippet_key_id = %(key)s, snippet = %(data)s
    where tenant_id = %(tenant)s and position = %(position)s"""


class Worker:
    """Does to the rows what a worker does."""

    def __init__(self, account: Account, webhook: dict[str, Any]) -> None:
        self._account = account
        self.params: dict[str, Any] = {
            "tenant": ids.decode("ten", account.tenant_id),
            "webhook": ids.decode("wh", webhook["id"]),
        }

    def run(self, statement: str, **params: Any) -> None:
        with self._account.server.admin() as connection:
            connection.execute(statement, self.params | params)

    def finish(self, positions: list[int], state: str, status: int, error: str) -> None:
        self.run(FINISH, positions=positions, state=state, status=status, error=error)

    def wait_for_retry(self, position: int) -> None:
        at = datetime(2026, 11, 20, 8, 0, 1, tzinfo=UTC)
        self.run(ATTEMPT, position=position, number=1, at=at)
        self.run(
            "update owed set attempts = 1, next_attempt_at = '2030-01-01', "
            "status_code = 503, error = 'status' where tenant_id = %(tenant)s "
            "and position = %(position)s",
            position=position,
        )

    def begin_through(self, position: int) -> None:
        self.run(
            "update lanes set sent_through = %(position)s "
            "where tenant_id = %(tenant)s and webhook_id = %(webhook)s",
            position=position,
        )

    def owed(self, position: int) -> Any:
        with self._account.server.admin() as connection:
            return connection.execute(
                "select attempts, trigger, once, next_attempt_at <= clock_timestamp() "
                "from owed where tenant_id = %(tenant)s and position = %(position)s",
                self.params | {"position": position},
            ).fetchone()


@pytest.fixture
def published(account: Account, hand_off: HandOff) -> tuple[Worker, list[int]]:
    """A webhook and five deliveries in five states: see STATES."""
    webhook = account.webhook()
    positions = [account.publish(f"t.{n}")["position"] for n in range(5)]
    hand_off()
    worker = Worker(account, webhook)
    worker.finish(positions[:1], "succeeded", 200, "")
    worker.finish(positions[1:2], "dead", 503, "status")
    worker.wait_for_retry(positions[2])
    worker.begin_through(positions[3])
    return worker, positions


STATES = ["succeeded", "dead", "retrying", "sending", "pending"]


def delivery_id(account: Account, position: int) -> str:
    [found] = [one for one in account.get(PATH)["data"] if one["position"] == position]
    return str(found["id"])


@pytest.mark.usefixtures("published")
def test_states(account: Account) -> None:
    page = account.get(PATH)
    assert [one["state"] for one in page["data"]] == STATES[::-1]
    assert page["data"][0]["sequence"] == 5
    events = account.get("/api/v1/events")["data"]
    for event, state in zip(events, STATES, strict=True):
        [shown] = account.get(f"/api/v1/events/{event['id']}")["deliveries"]
        assert shown["state"] == state


def test_a_delivery_and_its_attempts(
    account: Account, published: tuple[Worker, list[int]]
) -> None:
    position = published[1][2]
    shown = account.get(f"{PATH}/{delivery_id(account, position)}")
    [webhook] = account.get("/api/v1/webhooks")["data"]
    event = account.get("/api/v1/events", after=position - 1)["data"][0]
    [attempt] = shown["attempts"]
    assert shown == {
        "id": shown["id"],
        "webhook_id": webhook["id"],
        "webhook_version": 1,
        "event_id": event["id"],
        "type": "t.2",
        "stream": event["stream"],
        "position": position,
        "sequence": 3,
        "replay_id": None,
        "state": "retrying",
        "attempt_count": 1,
        "next_attempt_at": "2030-01-01T00:00:00.000000Z",
        "status_code": 503,
        "error": "status",
        "created_at": event["recorded_at"],
        "finished_at": None,
        "attempts": [attempt],
    }
    assert attempt == {
        "id": attempt["id"],
        "delivery_id": shown["id"],
        "number": 1,
        "trigger": "schedule",
        "started_at": "2026-11-20T08:00:01.000000Z",
        "duration_ms": 41.7,
        "status_code": 503,
        "error": "status",
        "detail": "503 Service Unavailable",
        "retry_after_seconds": 5,
        "request": {
            "headers": {
                "content-type": "application/json",
                "webhook-id": event["id"],
                "webhook-timestamp": "1795161601",
                "daybook-type": "t.2",
                "daybook-position": str(position),
                "daybook-delivery": shown["id"],
                "daybook-attempt": "1",
                "daybook-sequence": "3",
            },
            "body_bytes": 212,
            "body_sha256": "9f2c",
        },
        "response": {
            "headers": {"retry-after": "5"},
            "body_bytes": 18,
            "snippet": None,
        },
    }


def test_the_body_of_a_delivery(
    account: Account, published: tuple[Worker, list[int]]
) -> None:
    position = published[1][2]
    path = f"{PATH}/{delivery_id(account, position)}/body"
    answer = account.client.get(path)
    event = account.get("/api/v1/events", after=position - 1)["data"][0]
    assert (
        answer.json().items()
        >= {
            "id": event["id"],
            "timestamp": event["occurred_at"],
            "data": event["data"],
            "position": position,
        }.items()
    )
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    reader = {"name": "r", "scopes": ["webhooks:read"]}
    key = account.client.post("/api/v1/keys", json=reader).json()["key"]
    refused = account.client.get(path, headers={"Authorization": f"Bearer {key}"})
    assert refused.json()["code"] == "scope_missing"


FILTERS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "a state": ({"state": "dead"}, [1]),
    "states": ({"state": ["dead", "pending"]}, [4, 1]),
    "a status": ({"status_code": 503}, [2, 1]),
    "a type": ({"type": "t.3"}, [3]),
    "types": ({"type": ["t.3", "t.0"]}, [3, 0]),
    "everything": ({"type": "t.*"}, [4, 3, 2, 1, 0]),
    "nothing": ({"type": "x.*"}, []),
    "both": ({"state": "dead", "type": "t.0"}, []),
    "cancelled": ({"state": "cancelled"}, []),
    "no such event": ({"event_id": "evt_00000000"}, []),
    "malformed event": ({"event_id": "\x00"}, []),
    "no such webhook": ({"webhook_id": "wh_00000000000000000000000000"}, []),
    "malformed webhook": ({"webhook_id": "x"}, []),
    "the future": ({"since": "2999-01-01T00:00:00Z"}, []),
    "the past": ({"until": "1999-01-01T00:00:00Z"}, []),
}


def test_filters(account: Account, published: tuple[Worker, list[int]]) -> None:
    positions = published[1]
    for name, (params, expected) in FILTERS.items():
        found = [one["position"] for one in account.get(PATH, **params)["data"]]
        assert found == [positions[n] for n in expected], name
    event = account.get("/api/v1/events", after=positions[2])["data"][0]
    [found] = account.get(PATH, event_id=event["id"])["data"]
    assert found["event_id"] == event["id"]
    since = account.get(PATH, since=event["recorded_at"])["data"]
    assert [one["position"] for one in since] == positions[:2:-1]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "state": ({"state": "done"}, "state"),
    "status": ({"status_code": 99}, "status_code"),
    "type": ({"type": "a*"}, "type"),
    "since": ({"since": "now"}, "since"),
    "limit": ({"limit": 501}, "limit"),
    "twice": ({"event_id": ["evt_00000001", "evt_00000002"]}, "event_id"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_filters(account: Account, name: str) -> None:
    params, parameter = BAD[name]
    response = account.client.get(PATH, params=params)
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == parameter


def test_pages_while_deliveries_finish(account: Account, hand_off: HandOff) -> None:
    """Two webhooks, one event after the other finishing between the pages."""
    webhooks = [account.webhook(name=str(n)) for n in range(2)]
    worker = Worker(account, webhooks[0])
    positions = [account.publish()["position"] for _ in range(9)]
    hand_off()
    whole = [one["id"] for one in account.get(PATH)["data"]]
    assert len(whole) == 18
    seen: list[list[str]] = []
    params: dict[str, Any] = {"limit": 5}
    while True:
        page = account.get(PATH, **params)
        seen.append([one["id"] for one in page["data"]])
        worker.finish([positions.pop(), positions.pop(0)], "succeeded", 200, "")
        account.publish()
        hand_off()
        if not page["next"]:
            break
        params["cursor"] = page["next"]
    assert [one for ids_ in seen for one in ids_] == whole
    for expected in reversed(seen[:-1]):
        page = account.get(PATH, limit=5, cursor=page["prev"])
        assert [one["id"] for one in page["data"]] == expected


def test_the_deliveries_of_one_webhook(account: Account, hand_off: HandOff) -> None:
    webhooks = [account.webhook(event_types=[f"t.{n}"]) for n in range(2)]
    positions = [account.publish(f"t.{n % 2}")["position"] for n in range(6)]
    hand_off()
    first = f"/api/v1/webhooks/{webhooks[0]['id']}/deliveries"
    assert [one["position"] for one in account.get(first)["data"]] == positions[4::-2]
    second = account.get(PATH, webhook_id=webhooks[1]["id"])["data"]
    assert [one["position"] for one in second] == positions[5::-2]
    response = account.client.get(first, params={"webhook_id": webhooks[0]["id"]})
    assert response.json()["code"] == "unknown_field"


def test_rare_ones_are_found_far_back(account: Account, hand_off: HandOff) -> None:
    """A page walks back in ever wider steps."""
    webhook = account.webhook(event_types=["rare"])
    old = account.publish("rare")["position"]
    for _ in range(2):
        events = [{"type": "often", "data": {}}] * 1000
        account.client.post("/api/v1/events/batch", json={"events": events})
    new = account.publish("rare")["position"]
    hand_off()
    path = f"/api/v1/webhooks/{webhook['id']}/deliveries"
    page = account.get(path, limit=1)
    assert [one["position"] for one in page["data"]] == [new]
    page = account.get(path, limit=1, cursor=page["next"])
    assert [one["position"] for one in page["data"]] == [old]
    page = account.get(path, limit=1, cursor=page["prev"])
    assert [one["position"] for one in page["data"]] == [new]


RETRIES = {
    "succeeded": (1, "retry", True, True),
    "dead": (1, "retry", True, True),
    "retrying": (1, "retry", False, True),
    "pending": (0, "schedule", False, None),
}


@pytest.mark.parametrize("state", RETRIES)
def test_a_retry_is_owed_now(
    account: Account, published: tuple[Worker, list[int]], state: str
) -> None:
    worker, positions = published
    position = positions[STATES.index(state)]
    path = f"{PATH}/{delivery_id(account, position)}"
    response = account.client.post(f"{path}/retry")
    assert response.status_code == 202
    assert response.headers["Daybook-Position"] == str(positions[-1])
    assert response.json() == account.get(path)
    assert worker.owed(position) == RETRIES[state]
    assert response.json()["state"] == ("pending" if state == "pending" else "retrying")
    with account.server.admin() as connection:
        poked = connection.execute(
            "select count(*) from pokes where tenant_id = %(tenant)s", worker.params
        )
        assert poked.fetchone() is not None


def test_what_a_receiver_said_is_in_no_kept_answer(
    account: Account, published: tuple[Worker, list[int]]
) -> None:
    worker, positions = published
    position = positions[STATES.index("retrying")]
    tenant_id, webhook_id = worker.params["tenant"], worker.params["webhook"]
    place = snippet_place(tenant_id, webhook_id, position, 1)
    sealed = Vault(account.server.secret_keys).seal(b"said", place)
    worker.run(SAID, position=position, key=sealed.key_id, data=sealed.data)
    path = f"{PATH}/{delivery_id(account, position)}"
    [tried] = account.get(path)["attempts"]
    assert tried["response"]["snippet"] == "said"
    key = {"Idempotency-Key": ids.fresh("evt")}
    response = account.client.post(f"{path}/retry", headers=key)
    assert response.status_code == 202
    [tried] = response.json()["attempts"]
    assert tried["response"]["snippet"] is None
    with account.server.admin() as connection:
        kept = connection.execute(
            "select body from idempotency_keys where key = %s", list(key.values())
        ).fetchone()
    assert kept and b'"snippet":null' in kept[0]


def test_what_is_being_sent_is_not_retried(
    account: Account, published: tuple[Worker, list[int]]
) -> None:
    sending = delivery_id(account, published[1][3])
    response = account.client.post(f"{PATH}/{sending}/retry", json={})
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    assert "being sent" in response.json()["detail"]


@pytest.mark.parametrize("state", STATES)
def test_a_disabled_webhook_sends_nothing(
    account: Account, published: tuple[Worker, list[int]], state: str
) -> None:
    [webhook] = account.get("/api/v1/webhooks")["data"]
    account.client.post(f"/api/v1/webhooks/{webhook['id']}/disable")
    one = delivery_id(account, published[1][STATES.index(state)])
    response = account.client.post(f"{PATH}/{one}/retry")
    assert (response.status_code, response.json()["code"]) == (409, "webhook_disabled")


def test_what_a_deleted_webhook_was_owed_is_cancelled(
    account: Account, published: tuple[Worker, list[int]]
) -> None:
    [webhook] = account.get("/api/v1/webhooks")["data"]
    account.client.delete(f"/api/v1/webhooks/{webhook['id']}")
    shown = account.get(PATH, webhook_id=webhook["id"])["data"]
    states = ["cancelled", "cancelled", "cancelled", "dead", "succeeded"]
    assert [one["state"] for one in shown] == states
    assert all(one["finished_at"] for one in shown)
    assert len(account.get(PATH, state="cancelled")["data"]) == 3
    response = account.client.post(f"{PATH}/{shown[0]['id']}/retry")
    assert (response.status_code, response.json()["code"]) == (409, "webhook_disabled")


def test_a_failing_webhook_says_so(
    account: Account, published: tuple[Worker, list[int]]
) -> None:
    published[0].run(
        "update lanes set failing_since = now() where tenant_id = %(tenant)s"
    )
    assert account.get("/api/v1/webhooks")["data"][0]["health"] == "failing"


@pytest.mark.parametrize(
    "wrong",
    [
        ABSENT,
        "dlv_" + "z" * 26,
        "dlv_" + "0" * 26,
        "dlv_x",
        "nonsense",
        "wh_00000000000000000000000000",
        ids.attempt(ids.DeliveryKey(1, 1, 0, 1)),
        ids.delivery(ids.DeliveryKey(1, 1, 3)),
    ],
)
def test_absent_deliveries(account: Account, wrong: str) -> None:
    for method, path in (("GET", f"{PATH}/{wrong}"), ("POST", f"{PATH}/{wrong}/retry")):
        response = account.client.request(method, path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_deliveries_are_a_tenants_own(
    account: Account, other: Account, hand_off: HandOff
) -> None:
    """Ids count within a tenant, so the same id may name a delivery of each, or of one."""
    other.webhook()
    other.publish()
    hand_off()
    [theirs] = other.get(PATH)["data"]
    assert account.get(PATH)["data"] == []
    response = account.client.get(f"{PATH}/{theirs['id']}")
    assert response.status_code == 404
    response = account.client.get(PATH, params={"webhook_id": theirs["webhook_id"]})
    assert response.json()["data"] == []
    assert UUID(int=0) != ids.decode("wh", theirs["webhook_id"])
