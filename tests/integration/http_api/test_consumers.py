"""Consumers: events pulled by place, acknowledged, and asked for again."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.consumers import events as reading
from api.log import audience
from api.settings import ApiSettings
from domain.consumers import consumer
from projections.log import following
from projections.vault import generate_keys
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    open_account,
    running,
)
from tests.support.waiting import eventually

PATH = "/api/v1/consumers"
ERP = f"{PATH}/erp"


def put(account: Account, name: str = "erp", **body: Any) -> dict[str, Any]:
    """Make a consumer, or change one."""
    response = account.client.put(f"{PATH}/{name}", json=body)
    assert response.status_code in (200, 201), response.text
    answer: dict[str, Any] = response.json()
    return answer


def read(account: Account, name: str = "erp", **params: Any) -> dict[str, Any]:
    return account.get(f"{PATH}/{name}/events", **params)


def post(account: Account, what: str, **body: Any) -> httpx.Response:
    return account.client.post(f"{ERP}/{what}", json=body)


def ids(page: dict[str, Any]) -> list[str]:
    return [event["id"] for event in page["data"]]


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


# What it is.


def test_it_is_made_and_shown(account: Account) -> None:
    before = account.publish()["position"]
    made = put(account)
    assert made == {
        "name": "erp",
        "event_types": ["*"],
        "streams": ["*"],
        "filter": None,
        "start": "now",
        "position": before + 1,  # its own event's
        "lag_events": 0,
        "version": 1,
        "created_by": made["created_by"],
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert made["created_by"]["type"] == "key"
    assert account.get(ERP) == made
    account.publish()
    account.publish()
    assert account.get(ERP) == made | {"lag_events": 2}


def test_putting_again_replaces_settings_and_keeps_the_place(account: Account) -> None:
    account.publish()
    first = account.client.put(ERP, json={"start": "beginning", "event_types": ["a.*"]})
    assert first.status_code == 201
    same = account.client.put(ERP, json={"start": "beginning", "event_types": ["a.*"]})
    assert (same.status_code, same.json()["version"]) == (200, 1)
    changed = put(account, streams=["s/*"], filter={"data.n": {"$gt": 1}})
    assert (changed["event_types"], changed["streams"]) == (["*"], ["s/*"])
    assert changed["filter"] == {"data.n": {"$gt": 1}}
    assert (changed["version"], changed["position"]) == (2, 0)
    assert put(account, **account.get(ERP)) == account.get(ERP)
    moved = account.client.put(ERP, json={"start": {"position": 1}})
    assert refusal(moved) == (422, "invalid")
    assert moved.json()["errors"][0]["pointer"] == "#/start"


def test_one_of_the_same_name_begins_anew(account: Account) -> None:
    put(account, start="beginning", event_types=["a.*"])
    response = account.client.delete(ERP)
    assert (response.status_code, response.content) == (204, b"")
    for method, path in [
        ("GET", ERP),
        ("DELETE", ERP),
        ("GET", f"{ERP}/events"),
        ("POST", f"{ERP}/ack"),
        ("POST", f"{ERP}/seek"),
    ]:
        body = {"position": 1} if path.endswith("ack") else {"to": "now"}
        sent = body if method == "POST" else None
        response = account.client.request(method, path, json=sent)
        assert refusal(response) == (404, "not_found"), path
    again = account.client.put(ERP, json={})
    assert again.status_code == 201
    assert (again.json()["version"], again.json()["event_types"]) == (3, ["*"])
    types = [e["type"] for e in account.get("/api/v1/streams/$consumer/erp")["data"]]
    assert types == [
        "daybook.consumer.created",
        "daybook.consumer.deleted",
        "daybook.consumer.recreated",
    ]


def test_lists_are_oldest_first(account: Account) -> None:
    for name in ("c", "a", "b"):
        put(account, name)
    page = account.get(PATH, limit=2)
    assert [one["name"] for one in page["data"]] == ["c", "a"]
    after = account.get(PATH, limit=2, cursor=page["next"])
    assert [one["name"] for one in after["data"]] == ["b"]
    back = account.get(PATH, limit=2, cursor=after["prev"])
    assert back["data"] == page["data"]


def test_there_are_so_many_at_most(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "MOST_CONSUMERS", 2)
    put(account, "a")
    put(account, "b")
    assert refusal(account.client.put(f"{PATH}/c", json={})) == (422, "limit_reached")
    account.client.delete(f"{PATH}/a")
    put(account, "c")


NEW_YEAR = "2026-01-01T00:00:00Z"
BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a bad pattern": ("erp", {"event_types": ["a*"]}, "pattern_invalid"),
    "no pattern": ("erp", {"event_types": []}, "pattern_invalid"),
    "a bad stream": ("erp", {"streams": ["a//b"]}, "pattern_invalid"),
    "a bad filter": ("erp", {"filter": {"data.x": {"$like": 1}}}, "filter_invalid"),
    "an unknown member": ("erp", {"retry": "fast"}, "unknown_field"),
    "a place that is none": ("erp", {"start": "end"}, "invalid"),
    "two places": ("erp", {"start": {"position": 1, "time": NEW_YEAR}}, "invalid"),
    "beyond the head": ("erp", {"start": {"position": 10**6}}, "invalid"),
    "a name with a space": ("e rp", {}, "invalid"),
    "a name too long": ("e" * 65, {}, "invalid"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_made(account: Account, name: str) -> None:
    called, body, code = BAD[name]
    response = account.client.put(f"{PATH}/{called}", json=body)
    assert refusal(response) == (422, code)
    assert account.client.get(f"{PATH}/{called}").status_code == 404


# Where it begins.


def test_where_it_can_begin(account: Account) -> None:
    made = [account.publish() for _ in range(4)]
    second = made[1]
    for start, first in [
        ("beginning", made[0]),
        ({"position": second["position"]}, second),
        ({"time": second["recorded_at"]}, second),
    ]:
        account.client.delete(ERP)
        put(account, start=start)
        assert ids(read(account))[0] == first["id"]
        assert account.get(ERP)["start"] == start
    account.client.delete(ERP)
    put(account, start={"position": 0})
    assert ids(read(account))[0] == made[0]["id"]
    put(account, "late", start={"time": "2999-01-01T00:00:00+01:00"})
    assert read(account, "late")["data"] == []


def test_seek_moves_it_back_and_on(account: Account) -> None:
    made = [account.publish() for _ in range(4)]
    put(account)
    for to, expected in [
        ("beginning", made),
        ({"position": made[2]["position"]}, made[2:]),
        ({"time": made[1]["recorded_at"]}, made[1:]),
        ("now", []),
        ("beginning", made),
    ]:
        response = post(account, "seek", to=to)
        assert response.status_code == 200
        assert (
            int(response.headers["Daybook-Position"])
            == account.get("/api/v1/events", type="daybook.*")["data"][-1]["position"]
        )
        assert ids(read(account)) == [event["id"] for event in expected]
    assert refusal(post(account, "seek", to={"position": 10**6})) == (422, "invalid")
    assert refusal(post(account, "seek", to="end")) == (422, "invalid")
    assert refusal(post(account, "seek")) == (422, "invalid")


# Reading and acknowledging.


def test_reading_moves_nothing_and_acknowledging_does(account: Account) -> None:
    put(account)
    made = [account.publish() for _ in range(5)]
    page = read(account, limit=2)
    assert page == read(account, limit=2)
    assert ids(page) == [made[0]["id"], made[1]["id"]]
    assert page["data"] == account.get("/api/v1/events", limit=2)["data"]
    assert page["position"] == made[1]["position"]
    assert (page["next"], page["prev"]) == (None, None)
    response = post(account, "ack", position=page["position"])
    assert response.status_code == 200
    assert response.json() == account.get(ERP)
    assert (response.json()["position"], response.json()["lag_events"]) == (
        page["position"],
        3,
    )
    rest = read(account)
    assert ids(rest) == [event["id"] for event in made[2:]]
    post(account, "ack", position=rest["position"])
    empty = read(account)
    assert (empty["data"], empty["position"]) == ([], rest["position"])
    assert account.get(ERP)["lag_events"] == 0


def test_an_older_acknowledgement_changes_nothing(account: Account) -> None:
    put(account)
    made = [account.publish()["position"] for _ in range(3)]
    post(account, "ack", position=made[1])
    for older in (made[0], made[1], 0):
        response = post(account, "ack", position=older)
        assert (response.status_code, response.json()["position"]) == (200, made[1])
    beyond = post(account, "ack", position=made[-1] + 1)
    assert refusal(beyond) == (422, "invalid")
    assert beyond.json()["errors"][0]["pointer"] == "#/position"
    assert account.get(ERP)["position"] == made[1]
    assert refusal(post(account, "ack", position=-1)) == (422, "invalid")
    assert refusal(post(account, "ack")) == (422, "invalid")


def test_acknowledgements_that_cross_end_at_the_furthest(account: Account) -> None:
    put(account)
    made = [account.publish()["position"] for _ in range(16)]

    def acknowledge(position: int) -> int:
        with account.server.client(account.key) as client:
            return client.post(f"{ERP}/ack", json={"position": position}).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(acknowledge, made[::-1] + made)) == {200}
    assert account.get(ERP)["position"] == made[-1]


@pytest.mark.parametrize("scan", [3, 20_000])
def test_filters_of_each_kind(
    account: Account, scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SCAN", scan)
    put(
        account,
        event_types=["a.*", "b"],
        streams=["s/*"],
        filter={"data.n": {"$gte": 4}, "actor.type": "key", "$not": {"metadata.x": 1}},
    )
    wanted = []
    for n in range(12):
        for event_type in ("a.x", "b", "c"):
            stream, metadata = f"s/{n}" if n % 2 else "t", {"x": n % 3}
            event = account.publish(
                event_type, stream=stream, data={"n": n}, metadata=metadata
            )
            if event_type != "c" and n % 2 and n >= 4 and n % 3 != 1:
                wanted.append(event["id"])
    found, page = [], read(account, limit=2)
    while page["data"]:
        found += ids(page)
        post(account, "ack", position=page["position"])
        page = read(account, limit=2)
    assert found == wanted and len(wanted) == 6
    # Nothing is left, and its place says so.
    post(account, "ack", position=page["position"])
    assert account.get(ERP)["lag_events"] == 0


def test_pages_end_where_they_are_large(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    put(account)
    made = [account.publish(data={"x": "y" * 600}) for _ in range(5)]
    page = read(account)
    assert ids(page) == [made[0]["id"], made[1]["id"]]
    assert page["position"] == made[1]["position"]


def test_who_filters_out_nearly_all_is_told_how_far_it_is(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SCAN", 2)
    monkeypatch.setattr(reading, "LONGEST_SECONDS", 0.0)
    put(account, start="beginning", event_types=["rare"])
    for _ in range(5):
        account.publish()
    wanted = account.publish("rare")
    monkeypatch.setattr(reading, "LONGEST_SECONDS", 0.001)
    seen: list[str] = []
    for _ in range(20):
        page = read(account, wait=5)
        seen += ids(page)
        post(account, "ack", position=page["position"])
        if seen:
            break
    assert seen == [wanted["id"]]


# Waiting.


def test_it_waits_for_the_next_event(account: Account) -> None:
    put(account, event_types=["a.*"], filter={"data.n": 2})
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(read, account, wait=20)
        with account.server.client(account.key) as other:
            for n, event_type in [(2, "b.x"), (1, "a.x"), (2, "a.y")]:
                event = {"type": event_type, "data": {"n": n}}
                last = other.post("/api/v1/events", json=event).json()
        begun = time.monotonic()
        page = waiting.result()
    assert time.monotonic() - begun < 5
    assert ids(page) == [last["id"]]
    assert page["position"] == last["position"]


def test_it_does_not_wait_when_there_is_something(account: Account) -> None:
    put(account)
    event = account.publish()
    begun = time.monotonic()
    assert ids(read(account, wait=20)) == [event["id"]]
    assert time.monotonic() - begun < 5


def test_it_waits_no_longer_than_it_is_told(account: Account) -> None:
    put(account, event_types=["a.*"])
    account.publish("b")
    begun = time.monotonic()
    page = read(account, wait=1)
    assert 0.9 < time.monotonic() - begun < 5
    assert (page["data"], page["position"]) == (
        [],
        account.publish("c")["position"] - 1,
    )


@pytest.mark.parametrize(
    "params",
    [{"wait": 21}, {"wait": -1}, {"limit": 0}, {"limit": 501}, {"cursor": "c"}],
)
def test_bad_parameters(account: Account, params: dict[str, Any]) -> None:
    put(account)
    response = account.client.get(f"{ERP}/events", params=params)
    assert response.status_code == 422


def test_who_waits_counts_among_the_listeners(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "MOST", 0)
    put(account)
    response = account.client.get(f"{ERP}/events", params={"wait": 1})
    assert refusal(response) == (429, "busy")
    assert read(account)["data"] == []


def test_who_has_gone_waits_no_more(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "MOST", 1)
    put(account)
    with (
        account.server.client(account.key) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.get(f"{ERP}/events", params={"wait": 20}, timeout=0.3)
    path = f"{ERP}/events"
    eventually(lambda: account.client.get(path, params={"wait": 1}).status_code == 200)


def test_a_reader_of_an_ended_key_is_let_go(account: Account) -> None:
    put(account)
    made = account.client.post(
        "/api/v1/keys", json={"name": "short", "scopes": ["events:read"]}
    ).json()
    with account.server.client(made["key"]) as short, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(short.get, f"{ERP}/events", params={"wait": 20})
        time.sleep(0)  # whether it waits already or not: it is not let wait
        account.client.delete(f"/api/v1/keys/{made['id']}")
        begun = time.monotonic()
        assert waiting.result().status_code in (200, 401)
        assert time.monotonic() - begun < 5


# Who may.


def test_changing_and_reading_take_different_scopes(account: Account) -> None:
    put(account)
    reader = account.with_scopes("events:read")
    writer = account.with_scopes("consumers:write")
    assert reader.get(f"{ERP}/events").status_code == 200
    assert writer.get(f"{ERP}/events").status_code == 403
    for method, path, body in [
        ("PUT", ERP, {}),
        ("POST", f"{ERP}/ack", {"position": 0}),
        ("POST", f"{ERP}/seek", {"to": "now"}),
        ("DELETE", ERP, None),
    ]:
        assert reader.request(method, path, json=body).status_code == 403
        assert writer.request(method, path, json=body).status_code < 300


def test_two_tenants_consumers_of_one_name(account: Account, other: Account) -> None:
    mine, theirs = put(account, start="beginning"), put(other, start="beginning")
    for owner in (account, other):
        owner.publish(data={"owner": owner.tenant_id})
        [event] = read(owner)["data"]
        assert event["data"] == {"owner": owner.tenant_id}
    last = read(account)["position"]
    post(account, "ack", position=last)
    assert (mine["position"], theirs["position"]) == (0, 0)
    assert other.get(ERP)["position"] == 0
    account.client.delete(ERP)
    assert other.get(ERP)["name"] == "erp"


def test_repeats_under_one_key_are_done_once(account: Account) -> None:
    account.publish()
    put(account, start="beginning")
    headers = {"Idempotency-Key": "once"}
    body: dict[str, Any] = {"to": "now"}
    first = account.client.post(f"{ERP}/seek", json=body, headers=headers)
    again = account.client.post(f"{ERP}/seek", json=body, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert account.get(ERP)["version"] == 2
    ack = {"position": first.json()["position"]}
    headers = {"Idempotency-Key": "twice"}
    first = account.client.post(f"{ERP}/ack", json=ack, headers=headers)
    account.publish()
    again = account.client.post(f"{ERP}/ack", json=ack, headers=headers)
    assert again.json() == first.json()


# When things end.


def test_a_reader_is_answered_when_the_server_stops(server: Server) -> None:
    settings = ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
        limit_default=1_000_000,
        limit_auth=1_000_000,
    )
    with ThreadPoolExecutor(1) as threads:
        with running(settings) as url:
            here = Server(url, server.database_url)
            with here.client(OPERATOR_KEY) as operator:
                account = open_account(here, operator)
            made = put(account)
            before = tails(server)
            waiting = threads.submit(read, account, wait=20)
            eventually(lambda: tails(server) > before)
            begun = time.monotonic()
        page = waiting.result()
    assert (page["data"], page["position"]) == ([], made["position"])
    assert time.monotonic() - begun < 5
    account.close()


def tails(server: Server) -> int:
    """How many processes have somebody who listens, or had."""
    with server.admin() as admin:
        [(found,)] = admin.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and application_name = 'daybook listener'"
        ).fetchall()
        return int(found)
