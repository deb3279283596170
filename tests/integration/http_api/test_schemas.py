"""Schemas of event types: what breaks one is refused, at once and in every process."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api import catalogue
from api.settings import ApiSettings
from domain import ids
from domain.webhooks import event_type
from projections.vault import generate_keys
from tests.integration.http_api.conftest import OPERATOR_KEY, Account, Server, running
from tests.support import plain_http
from tests.support.waiting import eventually

PATH = "/api/v1/webhook-events"
HOURS = {
    "type": "object",
    "properties": {"minutes": {"type": "integer", "minimum": 1}},
    "required": ["minutes"],
}
FINE, BROKEN = {"minutes": 480}, {"minutes": 0}


def declare(
    account: Account, name: str = "hours.validated", **body: Any
) -> dict[str, Any]:
    response = account.client.put(f"{PATH}/{name}", json=body)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


def publish(
    client: httpx.Client, data: Any, name: str = "hours.validated", **fields: Any
) -> httpx.Response:
    event = {"type": name, "data": data} | fields
    return client.post("/api/v1/events", json=event)


def pointers(response: httpx.Response) -> list[str]:
    assert (response.status_code, response.json()["code"]) == (422, "schema_violation")
    return [error["pointer"] for error in response.json()["errors"]]


def test_data_that_breaks_the_schema_is_refused(account: Account) -> None:
    declare(account, schema=HOURS)
    assert publish(account.client, FINE).status_code == 202
    assert pointers(publish(account.client, BROKEN)) == ["#/data/minutes"]
    assert pointers(publish(account.client, {})) == ["#/data/minutes"]
    # and: other types are not concerned
    assert publish(account.client, BROKEN, "hours.rejected").status_code == 202


def test_a_batch_is_refused_with_every_place(account: Account) -> None:
    declare(account, schema=HOURS)
    sent = [
        {"type": name, "data": data}
        for name, data in [
            ("hours.validated", FINE),
            ("hours.validated", BROKEN),
            ("other", BROKEN),
            ("hours.validated", {}),
        ]
    ]
    response = account.client.post("/api/v1/events/batch", json={"events": sent})
    assert pointers(response) == ["#/events/1/data/minutes", "#/events/3/data/minutes"]
    assert account.get("/api/v1/events", type="*")["data"] == []


def test_versions_count_the_schemas(account: Account) -> None:
    other = HOURS | {"title": "Hours"}
    versions = [
        declare(account, schema=schema, description=text)["schema_version"]
        for schema, text in [
            (None, "none yet"),
            (HOURS, "the first"),
            (HOURS, "the same"),
            (other, "another"),
            (None, "gone"),
            (HOURS, "back"),
        ]
    ]
    assert versions == [None, 1, 1, 2, None, 3]


def test_a_schema_is_shown_as_it_was_sent(account: Account) -> None:
    schema = {
        "required": ["b", "a"],
        "description": "é",
        "properties": {"b": {}, "a": {}},
    }
    declare(account, schema=schema, secret_fields=["/b", "/a/*/c"])
    shown = account.get(f"{PATH}/hours.validated")
    assert list(shown["schema"]) == list(schema)
    assert list(shown["schema"]["properties"]) == ["b", "a"]
    assert shown["secret_fields"] == ["/b", "/a/*/c"]
    # and: it may be sent back
    again = account.client.put(f"{PATH}/hours.validated", json=shown)
    assert again.json() == shown


def test_whoever_goes_on_without_a_schema_is_not_checked(account: Account) -> None:
    declare(account, schema=HOURS)
    assert publish(account.client, BROKEN).status_code == 422
    declare(account, schema=None)
    assert publish(account.client, BROKEN).status_code == 202


@pytest.fixture
def elsewhere(server: Server, account: Account) -> Iterator[httpx.Client]:
    """The same tenant, at another process."""
    settings = ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
        limit_default=1_000_000,
        limit_auth=1_000_000,
    )
    with running(settings) as url, plain_http.client(url, account.key) as client:
        yield client


def test_a_schema_holds_in_every_process_from_the_next_event_on(
    account: Account, elsewhere: httpx.Client
) -> None:
    for schema in (HOURS, None, HOURS):
        # given: the other process knows how it was
        publish(elsewhere, FINE)
        # when
        declare(account, schema=schema)
        # then
        expected = 202 if schema is None else 422
        assert publish(elsewhere, BROKEN).status_code == expected


def test_nothing_is_stored_that_breaks_the_schema_in_force(
    account: Account, elsewhere: httpx.Client
) -> None:
    # given: publishers at two processes while the schema comes and goes
    is_over = threading.Event()
    answers: list[int] = []

    def publish_on(client: httpx.Client) -> None:
        while not is_over.is_set():
            answers.append(publish(client, BROKEN).status_code)

    clients = [account.client, elsewhere]
    threads = [threading.Thread(target=publish_on, args=[one]) for one in clients * 2]
    for thread in threads:
        thread.start()
    spans = []
    for _ in range(8):
        first = account.client.put(f"{PATH}/hours.validated", json={"schema": HOURS})
        then = account.client.put(f"{PATH}/hours.validated", json={})
        spans.append([int(one.headers["Daybook-Position"]) for one in (first, then)])
    eventually(lambda: {202, 422} <= set(answers))
    is_over.set()
    for thread in threads:
        thread.join()
    # then
    assert set(answers) <= {202, 422}
    stored = account.get("/api/v1/events", type="hours.validated", limit=500)["data"]
    within = [
        event["position"]
        for event in stored
        for first, last in spans
        if first < event["position"] < last
    ]
    assert within == []


def test_what_was_stored_may_be_repeated_under_a_new_schema(account: Account) -> None:
    first = publish(account.client, BROKEN, id="hours-0001")
    assert first.status_code == 202
    declare(account, schema=HOURS)
    again = publish(account.client, BROKEN, id="hours-0001")
    assert (again.status_code, again.json()) == (200, first.json())
    # and: other content under the same id is not a repeat
    assert publish(account.client, {}, id="hours-0001").status_code == 409
    # and: in a batch the others are checked
    sent = [
        {"type": "hours.validated", "data": BROKEN, "id": "hours-0001"},
        {"type": "hours.validated", "data": BROKEN, "id": "hours-0002"},
    ]
    response = account.client.post("/api/v1/events/batch", json={"events": sent})
    assert pointers(response) == ["#/events/1/data/minutes"]
    response = account.client.post("/api/v1/events/batch", json={"events": sent[:1]})
    assert response.json()["events"][0]["replayed"]


def test_a_dry_run_tells_what_would_break(account: Account) -> None:
    events = [
        publish(account.client, data).json()
        for data in (FINE, BROKEN, FINE, {"minutes": "x", "more": 1}, {})
    ]
    publish(account.client, BROKEN, "hours.rejected")
    head = account.get("/api/v1/events")["position"]
    path = f"{PATH}/hours.validated?dry_run=true"
    response = account.client.put(path, json={"schema": HOURS})
    assert response.status_code == 200
    found = response.json()
    assert [event["id"] for event in found["data"]] == [
        events[number]["id"] for number in (1, 3, 4)
    ]
    assert found["data"][1]["errors"] == [
        {"pointer": "#/data/minutes", "detail": 'the value is not of type "integer"'}
    ]
    expected = {"checked": 5, "breaking": 3, "position": head, "complete": True}
    assert {name: found[name] for name in expected} == expected
    # and: nothing was declared
    shown = account.get(f"{PATH}/hours.validated")
    assert (shown["declared"], shown["schema"]) == (False, None)
    assert account.get("/api/v1/events")["position"] == head
    # and: one can look on from a position
    path += f"&after={events[3]['position']}"
    found = account.client.put(path, json={"schema": HOURS}).json()
    assert (found["checked"], found["breaking"]) == (1, 1)


def test_a_dry_run_ends_in_time_and_says_how_far_it_came(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(account.client, BROKEN).json()
    path = f"{PATH}/hours.validated?dry_run=true"
    monkeypatch.setattr("api.webhooks.declaring.SECONDS", -1.0)
    found = account.client.put(path, json={"schema": HOURS}).json()
    assert (found["checked"], found["complete"]) == (0, False)
    assert found["position"] < first["position"]
    # and: without a schema there is nothing to look at
    assert account.client.put(path, json={}).json()["complete"]


def test_a_dry_run_reads_events(account: Account) -> None:
    client = account.with_scopes("types:write")
    path = f"{PATH}/hours.validated"
    assert client.put(path, json={"schema": HOURS}).status_code == 200
    response = client.put(f"{path}?dry_run=true", json={"schema": HOURS})
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


def test_types_with_a_schema_are_limited(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_type, "MOST_SCHEMAS", 1)
    declare(account, "a", schema={})
    response = account.client.put(f"{PATH}/b", json={"schema": {}})
    assert (response.status_code, response.json()["code"]) == (422, "limit_reached")
    declare(account, "b")
    declare(account, "a", schema=HOURS)


def test_a_tenant_whose_checks_are_slow_keeps_nobody_else_waiting(
    account: Account, other: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (account, other):
        declare(one, schema=HOURS)
    monkeypatch.setattr(catalogue, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(catalogue, "RESTS", 1e9)
    assert publish(account.client, FINE).status_code == 202
    response = publish(account.client, FINE)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"]
    # and: what has no schema goes on, and so do others
    assert publish(account.client, FINE, "other").status_code == 202
    assert publish(other.client, FINE).status_code == 202


def test_secret_fields_are_in_force_like_everything_else(
    account: Account, server: Server
) -> None:
    places = []
    for fields in (["/a"], [], ["/b", "/c"]):
        declare(account, secret_fields=fields)
        places.append(publish(account.client, {}).json()["position"])
    with server.admin() as admin:
        rows = admin.execute(
            "select from_position, to_position, secret_fields from secret_field_ranges"
            " where tenant_id = %s order by from_position",
            [ids.decode("ten", account.tenant_id)],
        ).fetchall()
    first, second, third = places
    assert rows == [
        (first, second - 1, ["/a"]),
        (third, 2**63 - 1, ["/b", "/c"]),
    ]
