"""Projections over HTTP: what the operator sees of them and does to them; /metrics."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from domain import ids
from projections import postgres, telemetry
from projections.log.streams import Streams
from projections.rebuild import Rebuilder
from projections.runner import Runner
from tests.integration.http_api.conftest import Account, Server

PATH = "/api/v1/projections"
STREAMS = f"{PATH}/streams"
REBUILD = f"{STREAMS}/rebuild"


@pytest.fixture
def admin(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees everything; at the end `streams` is as it should be."""
    with server.admin() as connection:
        yield connection
        connection.execute("delete from projection_errors")
        connection.execute("delete from rebuilds")
        connection.execute(
            "update checkpoints set error = null, needs = null, paused_by = null"
        )


def follow(server: Server) -> None:
    """The read model reads what has been published."""

    async def run() -> None:
        runner = Runner(server.database_url, Streams())
        while await runner.step():
            pass

    asyncio.run(run())


def rebuild(server: Server) -> None:
    """A worker looks after the rebuilds, until nothing is left to do."""

    async def run() -> None:
        url = server.database_url
        async with await postgres.connect(url, "daybook_worker", "r") as connection:
            while await Rebuilder(url, [Streams()]).step(connection):
                pass

    asyncio.run(run())


def named(operator: httpx.Client, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = operator.get(PATH).json()["data"]
    [row] = [row for row in rows if row["name"] == name]
    return row


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_list(
    server: Server, operator: httpx.Client, account: Account, admin: Any
) -> None:
    account.publish()
    page = operator.get(PATH).json()
    assert [row["name"] for row in page["data"]] == ["deliveries", "streams"]
    before = named(operator, "streams")
    assert before["lag_events"] > 0
    follow(server)
    after = named(operator, "streams")
    assert after["lag_events"] == 0
    assert after["seconds_since_advance"] < 5
    assert (after["state"], after["error"], after["rebuild"]) == ("running", None, None)


def test_the_list_in_pages(operator: httpx.Client) -> None:
    first = operator.get(PATH, params={"limit": 1}).json()
    params = {"limit": 1, "cursor": first["next"]}
    second = operator.get(PATH, params=params).json()
    assert [row["name"] for row in second["data"]] == ["streams"]
    back = operator.get(PATH, params={"limit": 1, "cursor": second["prev"]}).json()
    assert [row["name"] for row in back["data"]] == ["deliveries"]
    assert (second["next"], back["prev"]) == (None, None)


def test_pause_and_resume(operator: httpx.Client, admin: Any) -> None:
    for _ in range(2):
        paused = operator.post(f"{STREAMS}/pause")
        assert paused.status_code == 200
        assert (paused.json()["state"], paused.json()["paused_by"]) == (
            "paused",
            "operator",
        )
    system = operator.get("/health/system").json()["projections"]
    assert {one["name"]: one["state"] for one in system}["streams"] == "paused"
    assert operator.post(f"{STREAMS}/resume", json={}).json()["state"] == "running"


@pytest.mark.parametrize(
    ("column", "state"), [("error", "stopped"), ("needs", "needs_newer_code")]
)
def test_what_keeps_it_is_shown(
    operator: httpx.Client, admin: Any, column: str, state: str
) -> None:
    admin.execute("update checkpoints set error = 'ValueError: no'")
    admin.execute(f"update checkpoints set {column} = 'because'")
    assert named(operator, "streams")["state"] == state
    system = operator.get("/health/system").json()["projections"]
    assert [one["state"] for one in system] == [state, state]


# Rebuilds.


def test_a_rebuild(
    server: Server, operator: httpx.Client, account: Account, admin: Any
) -> None:
    assert refusal(operator.get(REBUILD)) == (404, "not_found")
    account.publish()
    follow(server)
    begun = operator.post(REBUILD)
    assert begun.status_code == 202
    assert begun.json()["state"] == "running"
    assert named(operator, "streams")["rebuild"] == begun.json()
    assert refusal(operator.post(REBUILD)) == (422, "invalid")
    rebuild(server)
    ended = operator.get(REBUILD).json()
    assert (ended["state"], ended["error"]) == ("switched", None)
    assert ended["position"] == ended["target"] > 0
    assert ended["parity"]["equal"]
    assert ended["parity"]["live"] == ended["parity"]["rebuilt"]
    assert ended["rate_events_per_second"] > 0
    assert (ended["remaining_seconds"], ended["asked_by"]) == (None, "operator")


def test_progress(
    server: Server, operator: httpx.Client, account: Account, admin: Any
) -> None:
    account.publish()
    follow(server)
    operator.post(REBUILD)
    admin.execute("update checkpoints set log_position = log_position + 1000000")
    admin.execute(
        "update rebuilds set log_position = 250000,"
        " started_at = now() - interval '5 seconds', applied_at = now()"
    )
    shown = operator.get(REBUILD).json()
    admin.execute("update checkpoints set log_position = log_position - 1000000")
    assert shown["rate_events_per_second"] == pytest.approx(50_000, rel=0.01)
    left = (shown["target"] - 250_000) / 50_000
    assert shown["remaining_seconds"] == pytest.approx(left, rel=0.01)


def test_a_rebuild_of_one_tenant(
    server: Server, operator: httpx.Client, account: Account, admin: Any
) -> None:
    account.publish(stream="mine/1")
    follow(server)
    begun = operator.post(REBUILD, json={"tenant_id": account.tenant_id})
    assert (begun.status_code, begun.json()["tenant_id"]) == (202, account.tenant_id)
    rebuild(server)
    assert operator.get(REBUILD).json()["state"] == "switched"
    assert account.get("/api/v1/streams", prefix="mine/")["data"][0]["version"] == 1


def test_a_rebuild_is_accepted(operator: httpx.Client, admin: Any) -> None:
    operator.post(REBUILD)
    admin.execute("update rebuilds set state = 'ready'")
    accepted = operator.post(REBUILD, json={"accept": True})
    assert (accepted.status_code, accepted.json()["accept"]) == (202, True)
    assert operator.delete(REBUILD).json()["state"] == "cancelled"
    begun = operator.post(REBUILD, json={"accept": True}).json()
    assert (begun["state"], begun["accept"]) == ("running", True)


def test_a_rebuild_is_cancelled(operator: httpx.Client, admin: Any) -> None:
    operator.post(REBUILD)
    cancelled = operator.delete(REBUILD)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert cancelled.json()["finished_at"]
    assert refusal(operator.delete(REBUILD)) == (404, "not_found")


REFUSED: dict[str, tuple[str, Any, str]] = {
    "deliveries": ("deliveries", {}, "#"),
    "no such tenant": ("streams", {"tenant_id": ids.fresh("ten")}, "#/tenant_id"),
    "no tenant at all": ("streams", {"tenant_id": "demo"}, "#/tenant_id"),
    "accept what": ("streams", {"accept": "yes"}, "#/accept"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rebuilds_that_cannot_be(operator: httpx.Client, admin: Any, name: str) -> None:
    projection, body, pointer = REFUSED[name]
    response = operator.post(f"{PATH}/{projection}/rebuild", json=body)
    assert refusal(response) == (422, "invalid")
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "nothing/pause"),
        ("POST", "nothing/resume"),
        ("GET", "nothing/rebuild"),
        ("POST", "nothing/rebuild"),
        ("DELETE", "nothing/rebuild"),
        ("GET", "nothing/errors"),
        ("POST", "streams/errors/1/retry"),
        ("POST", "streams/errors/x/skip"),
        ("POST", "streams/errors/-1/skip"),
        ("POST", f"streams/errors/{'9' * 30}/skip"),
        ("POST", "streams/errors/٣/skip"),
    ],
)
def test_what_is_not_there(operator: httpx.Client, method: str, path: str) -> None:
    response = operator.request(method, f"{PATH}/{path}")
    assert refusal(response) == (404, "not_found")


# Errors.


@pytest.fixture
def parked(account: Account, admin: Any) -> list[str]:
    """Five events of a stream that could not be applied; their errors' ids."""
    for _ in range(5):
        account.publish(stream="bad/1")
    rows = admin.execute(
        "insert into projection_errors"
        " (name, log_position, tenant_id, stream, state, error, decided_by)"
        " select 'streams', log_position, tenant_id, stream, 'parked', 'no', 'policy'"
        " from events where tenant_id = %s and stream = 'bad/1'"
        " order by log_position returning error_id",
        [ids.decode("ten", account.tenant_id)],
    )
    return [str(error_id) for (error_id,) in rows.fetchall()]


def test_errors_in_pages(
    operator: httpx.Client, account: Account, parked: list[str]
) -> None:
    path = f"{STREAMS}/errors"
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = operator.get(path, params=params).json()
        seen += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [error["id"] for error in seen] == parked
    assert {error["tenant_id"] for error in seen} == {account.tenant_id}
    assert (seen[0]["state"], seen[0]["stream"], seen[0]["error"]) == (
        "parked",
        "bad/1",
        "no",
    )
    back = operator.get(path, params={"limit": 2, "cursor": page["prev"]}).json()
    assert [error["id"] for error in back["data"]] == parked[2:4]


def test_an_event_is_tried_again(
    server: Server, operator: httpx.Client, account: Account, parked: list[str]
) -> None:
    answer = operator.post(f"{STREAMS}/errors/{parked[0]}/retry")
    assert (answer.status_code, answer.json()["retry"]) == (200, True)
    follow(server)
    assert operator.get(f"{STREAMS}/errors").json()["data"] == []
    assert account.get("/api/v1/streams/bad/1")["version"] == 5


def test_an_event_is_skipped(
    server: Server, operator: httpx.Client, parked: list[str]
) -> None:
    skipped = operator.post(f"{STREAMS}/errors/{parked[0]}/skip").json()
    assert (skipped["state"], skipped["decided_by"]) == ("skipped", "operator")
    follow(server)
    left = operator.get(f"{STREAMS}/errors").json()["data"]
    assert [error["id"] for error in left] == parked[:1]
    again = operator.post(f"{STREAMS}/errors/{parked[0]}/retry")
    assert refusal(again) == (422, "invalid")


# Metrics.


def test_metrics_are_for_the_operator(
    operator: httpx.Client, stranger: httpx.Client, account: Account
) -> None:
    account.publish()
    response = operator.get("/metrics")
    assert response.headers["Content-Type"] == telemetry.MEDIA_TYPE.decode()
    figures = response.text.splitlines()
    lags = [line for line in figures if line.startswith("daybook_projection_lag")]
    assert [line.split("} ")[0] for line in lags] == [
        'daybook_projection_lag_events{projection="deliveries"',
        'daybook_projection_lag_events{projection="streams"',
    ]
    [appended] = [one for one in figures if one.startswith("daybook_appended_events_t")]
    assert float(appended.split()[1]) >= 1
    assert any(one.startswith("daybook_append_group_entries_bucket") for one in figures)
    assert 'daybook_attempts_total{outcome="failed"} ' in response.text
    assert account.tenant_id not in response.text
    assert refusal(stranger.get("/metrics")) == (401, "unauthenticated")
    assert refusal(account.client.get("/metrics")) == (403, "scope_missing")
