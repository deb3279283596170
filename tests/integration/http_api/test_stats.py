"""Statistics: what is finished by figures, what is owed as it is, both as the lists say."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import clock, ids
from projections.postgres import Link
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_deliveries import HandOff, Worker
from tests.integration.http_api.test_delivery_lists import Mixture
from workers import sweeping

STATES = ("pending", "sending", "succeeded", "retrying", "dead", "cancelled")
DONE = """
    insert into results (
        tenant_id, position, webhook_id, replay, recorded_at, webhook_version, state,
        attempts, finished_at)
    select %(tenant)s, n, %(webhook)s, 0, %(at)s, 1, %(state)s, 1, now()
    from generate_series(%(first)s::int, %(last)s::int) n"""
TRIED = """
    insert into attempts (
        tenant_id, position, webhook_id, replay, number, recorded_at, trigger, outcome,
        started_at, duration_ms, webhook_version)
    select %(tenant)s, n, %(webhook)s, 0, 1, %(at)s, 'schedule', 'succeeded', now(), ms, 1
    from unnest(%(ms)s::real[]) with ordinality as t (ms, n)"""


@pytest.fixture(scope="module")
def mixture(module_account: Account, hand_off: HandOff) -> Mixture:
    return Mixture(module_account, hand_off)


def stats(account: Account, webhook: dict[str, Any], **params: Any) -> dict[str, Any]:
    return account.get(f"/api/v1/webhooks/{webhook['id']}/stats", **params)


def gather(account: Account) -> None:
    """As a worker does once a minute."""

    async def sweep() -> None:
        link = Link(account.server.database_url, "daybook_worker", "test")
        await sweeping.sweep(link, 3)
        await link.close()

    asyncio.run(sweep())


def test_counts_are_those_of_the_lists(mixture: Mixture) -> None:
    for _ in range(2):  # as they were tallied, and as they were gathered
        for webhook in mixture.webhooks:
            seen = stats(mixture.account, webhook)
            filters: dict[str, Any] = {"webhook_id": webhook["id"]}
            listed = {
                state: len(mixture.expected(filters | {"state": [state]}))
                for state in STATES
            }
            assert seen["counts"] == listed
            waiting = ("pending", "sending", "retrying")
            assert seen["lag"]["deliveries"] == sum(listed[each] for each in waiting)
            owed = [
                row.created_at
                for row in mixture.all
                if row.state in waiting
                and ids.encode("wh", row.webhook_id) == webhook["id"]
            ]
            assert seen["oldest_undelivered_at"] == clock.rfc3339(min(owed))
        gather(mixture.account)


def test_an_interval_without_any(mixture: Mixture) -> None:
    webhook = mixture.webhooks[0]
    seen = stats(
        mixture.account,
        webhook,
        since="2020-01-01T00:00:00Z",
        until="2020-01-01T03:00:00Z",
    )
    assert seen["counts"] == dict.fromkeys(STATES, 0)
    assert seen["success_rate"] is None
    assert seen["attempt_ms"] == dict.fromkeys(("mean", "p50", "p95", "p99"))
    assert seen["lag"]["deliveries"] > 0
    starts = [f"2020-01-01T0{n}:00:00.000000Z" for n in range(3)]
    assert seen["buckets"] == [
        {"start": start, "succeeded": 0, "dead": 0, "p95_ms": None} for start in starts
    ]
    assert (seen["since"], seen["until"]) == (starts[0], "2020-01-01T03:00:00.000000Z")


def test_a_webhook_that_was_owed_nothing(account: Account) -> None:
    webhook = account.webhook()
    seen = stats(account, webhook)
    assert seen["webhook_id"] == webhook["id"]
    assert seen["counts"] == dict.fromkeys(STATES, 0)
    assert seen["lag"] == {"deliveries": 0, "seconds": 0.0}
    assert seen["oldest_undelivered_at"] is None
    assert len(seen["buckets"]) == 24
    assert len(stats(account, webhook, bucket="day")["buckets"]) == 30


def test_buckets(account: Account) -> None:
    worker = Worker(account, webhook := account.webhook())
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for back, state, first, last in (
        (0, "succeeded", 1, 5),
        (1, "succeeded", 10, 11),
        (1, "dead", 12, 12),
        (30, "dead", 20, 22),
        (30, "cancelled", 30, 33),
    ):
        at = hour - timedelta(hours=back) + timedelta(seconds=1)
        worker.run(DONE, at=at, state=state, first=first, last=last)
    seen = stats(account, webhook)
    assert seen["counts"] | {"succeeded": 7, "dead": 1} == seen["counts"]
    assert seen["success_rate"] == 0.875
    last_two = [(one["succeeded"], one["dead"]) for one in seen["buckets"][-2:]]
    assert last_two == [(2, 1), (5, 0)]
    since = (hour - timedelta(hours=30, minutes=-20)).isoformat()
    longer = stats(account, webhook, since=since)
    assert len(longer["buckets"]) == 31
    assert (longer["buckets"][0]["dead"], longer["counts"]["cancelled"]) == (3, 4)
    by_day = stats(account, webhook, since=since, bucket="day")
    assert sum(one["dead"] for one in by_day["buckets"]) == 4
    assert all("T00:00:00" in one["start"] for one in by_day["buckets"])


def test_parts_of_attempts_are_right_to_a_twentieth(account: Account) -> None:
    worker = Worker(account, webhook := account.webhook())
    chance = random.Random(11)
    taken = sorted(chance.lognormvariate(3, 1.5) for _ in range(2000))
    for start in range(0, 2000, 500):
        at = datetime.now(UTC) - timedelta(microseconds=start)
        worker.run(TRIED, at=at, ms=taken[start : start + 500])
    gather(account)
    seen = stats(account, webhook)["attempt_ms"]
    assert seen["mean"] == pytest.approx(sum(taken) / 2000, rel=0.001)
    for part in (50, 95, 99):
        exact = taken[2000 * part // 100 - 1]
        assert seen[f"p{part}"] == pytest.approx(exact, rel=0.06)
    assert stats(account, webhook)["buckets"][-1]["p95_ms"] == seen["p95"]


def test_what_is_tried_again_by_hand_is_finished_no_more(
    account: Account, hand_off: HandOff
) -> None:
    webhook = account.webhook()
    positions = [account.publish()["position"] for _ in range(3)]
    hand_off()
    worker = Worker(account, webhook)
    worker.finish(positions, "dead", 503, "status")
    worker.begin_through(positions[-1])
    gather(account)
    assert stats(account, webhook)["counts"]["dead"] == 3
    path = f"/api/v1/webhooks/{webhook['id']}"
    one = account.get(f"{path}/dead-letters")["data"][0]["id"]
    account.client.post(f"/api/v1/webhook-deliveries/{one}/retry")
    counts = stats(account, webhook)["counts"]
    assert (counts["dead"], counts["retrying"]) == (2, 1)
    account.client.post(f"{path}/redrive", json={"all": True})
    gather(account)
    counts = stats(account, webhook)["counts"]
    assert (counts["dead"], counts["retrying"]) == (0, 3)


def test_a_long_backlog_is_counted_by_its_ends(
    account: Account, hand_off: HandOff
) -> None:
    webhook = account.webhook(event_types=["a.*"])
    for n in range(60):
        account.publish("ab"[n % 2] + ".x")
    hand_off()
    third = account.get("/api/v1/webhook-deliveries")["data"][-3]["position"]
    Worker(account, webhook).begin_through(third)
    seen = stats(account, webhook)
    assert (seen["counts"]["sending"], seen["counts"]["pending"]) == (3, 27)
    assert seen["lag"]["deliveries"] == 30


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"bucket": "week"}, "bucket"),
        ({"since": "now"}, "since"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"since": "2020-01-01T00:00:00Z"}, "since"),
        ({"until": "0001-01-01T00:00:00Z"}, "until"),
        ({"until": "9999-12-31T23:30:00Z"}, "until"),
        ({"state": "dead"}, "state"),
    ],
)
def test_what_makes_no_sense(
    account: Account, params: dict[str, str], parameter: str
) -> None:
    path = f"/api/v1/webhooks/{account.webhook()['id']}/stats"
    response = account.client.get(path, params=params)
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == parameter


def test_anothers_are_not_there(account: Account, other: Account) -> None:
    path = f"/api/v1/webhooks/{account.webhook()['id']}/stats"
    assert other.client.get(path).status_code == 404
