"""CloudEvents in: every form of the HTTP binding, as somebody else's library sends them."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from domain import traces
from tests.integration.http_api.conftest import Account

PATH = "/api/v1/cloudevents"
ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
ATTRIBUTES = {
    "id": "A/41 é",
    "source": "https://erp.example/hours",
    "type": "hours.validated",
    "time": datetime(2026, 11, 20, 7, 59, 58, 120000, tzinfo=UTC),
    "subject": "worker/12 Zoë",
    "datacontenttype": "application/json",
    "dataschema": "https://erp.example/hours.json",
    "stream": "hours/77",
    "correlationid": "evt_00000000",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "partitionkey": "7",
}
DATA = {"minutes": 480, "site": "Zürich"}


def send(account: Account, message: HTTPMessage) -> httpx.Response:
    return account.client.post(PATH, content=message.body, headers=message.headers)


def post(account: Account, content: Any, kind: str = ONE) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return account.client.post(PATH, content=body, headers={"Content-Type": kind})


def event(number: int = 41, **attributes: Any) -> dict[str, Any]:
    required = {
        "specversion": "1.0",
        "id": str(number),
        "source": "/erp",
        "type": "a.b",
    }
    return required | {"data": {"number": number}} | attributes


def places(response: httpx.Response) -> list[str]:
    return [
        error.get("pointer") or error["parameter"]
        for error in response.json()["errors"]
    ]


@pytest.mark.parametrize("form", [to_structured_event, to_binary_event])
def test_another_librarys_events_come_in(account: Account, form: Any) -> None:
    message = form(CloudEvent(ATTRIBUTES, DATA))
    response = send(account, message)
    assert response.status_code == 202, response.text
    sent = response.json()
    assert response.headers["Location"] == f"/api/v1/events/{sent['id']}"
    assert sent["id"].startswith("evt_")
    shown = account.get(response.headers["Location"])
    expected = {
        "id": sent["id"],
        "type": "hours.validated",
        "stream": "hours/77",
        "version": 1,
        "source": "https://erp.example/hours",
        "source_id": "A/41 é",
        "subject": "worker/12 Zoë",
        "data": DATA,
        "metadata": {
            "dataschema": "https://erp.example/hours.json",
            "partitionkey": "7",
        },
        "occurred_at": "2026-11-20T07:59:58.120000Z",
        "correlation_id": "evt_00000000",
        "causation_id": None,
    }
    assert {name: shown[name] for name in expected} == expected
    # and: again
    again = send(account, message)
    assert (again.status_code, again.json()) == (200, sent)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_trace_is_the_publishers_and_no_metadata(account: Account) -> None:
    """It comes before the header of the request, which may be of a relay."""
    sent = event(traceparent=ATTRIBUTES["traceparent"])
    relayed = ATTRIBUTES["traceparent"].replace("0af7", "1bf8")
    account.client.headers["traceparent"] = relayed
    identity = post(account, sent).json()["id"]
    with account.server.admin() as admin:
        [row] = admin.execute(
            "select trace, tenant_id from daybook.events where event_id = %s",
            [identity],
        ).fetchall()
    assert traces.of_event(*row, identity).header() == ATTRIBUTES["traceparent"]
    # and: a repeat may come by another way
    again = post(account, sent | {"traceparent": relayed})
    assert (again.status_code, again.json()["id"]) == (200, identity)
    # and: what names no trace is metadata like any other
    plain = post(account, event(id="2", traceparent="of-mine")).json()["id"]
    shown = account.get(f"/api/v1/events/{plain}")
    assert shown["metadata"] == {"traceparent": "of-mine"}


def test_both_forms_of_an_event_are_one_event(account: Account) -> None:
    one = CloudEvent(ATTRIBUTES, DATA)
    first = send(account, to_structured_event(one))
    again = send(account, to_binary_event(one))
    assert (again.status_code, again.json()) == (200, first.json())


def test_a_batch_comes_in_whole_and_in_order(account: Account) -> None:
    sent = [event(number, stream="hours/1") for number in (1, 2, 3, 2)]
    response = post(account, sent, MANY)
    assert response.status_code == 202
    found = response.json()["events"]
    assert [one["replayed"] for one in found] == [False, False, False, True]
    assert found[3] | {"replayed": False} == found[1]
    listed = account.get("/api/v1/events", stream="hours/1")["data"]
    assert [one["source_id"] for one in listed] == ["1", "2", "3"]


def test_data_is_kept_as_it_was_sent(account: Account) -> None:
    data = '{ "n" : 1e2,  "big": 1.0000000000000000001 }'
    body = json.dumps(event(data=0)).replace('"data": 0', f'"data":{data}')
    post(account, body.encode())
    headers = {"ce-id": "2", "ce-source": "/erp", "ce-type": "a.b"}
    headers |= {"ce-specversion": "1.0", "Content-Type": "application/json"}
    account.client.post(PATH, content=data.encode(), headers=headers)
    shown = account.client.get("/api/v1/events").text
    assert shown.count(f'"data":{data}') == 2


def test_the_id_is_its_sources_own(account: Account, other: Account) -> None:
    first = post(account, event()).json()
    conflict = post(account, event(data={"another": 1}))
    assert (conflict.status_code, conflict.json()["code"]) == (409, "event_exists")
    assert conflict.json()["event"] == {
        "id": first["id"],
        "position": first["position"],
    }
    assert conflict.headers["Location"] == f"/api/v1/events/{first['id']}"
    assert post(account, event(source="/crm")).status_code == 202
    assert post(other, event()).status_code == 202
    # and: what differs only in how it is said is the same
    later = event(time="2026-11-20T10:00:00+02:00", number=2)
    assert post(account, later | {"id": "2"}).status_code == 202
    same = later | {"id": "2", "time": "2026-11-20T08:00:00Z", "subject": None}
    assert post(account, same).status_code == 200


def test_extensions_of_all_kinds_are_metadata(account: Account) -> None:
    kinds = {"truth": True, "count": -7, "text": "x", "none": None}
    identity = post(account, event(**kinds)).json()["id"]
    shown = account.get(f"/api/v1/events/{identity}")
    assert shown["metadata"] == {"truth": True, "count": -7, "text": "x"}
    assert shown["occurred_at"] == shown["recorded_at"]
    assert shown["stream"] == identity


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in event().items() if key != name}


BAD: dict[str, tuple[Any, list[str]]] = {
    "no id": (without("id"), ["#/id"]),
    "no data": (without("data"), ["#/data"]),
    "nothing": ({}, ["#/specversion", "#/id", "#/source", "#/type", "#/data"]),
    "data": (event(data=[1]), ["#/data"]),
    "base64": (without("data") | {"data_base64": "e30="}, ["#/data", "#/data_base64"]),
    "version": (event(specversion="0.3"), ["#/specversion"]),
    "an empty id": (event(id=""), ["#/id"]),
    "a number": (event(id=5), ["#/id"]),
    "a long id": (event(id="x" * 257), ["#/id"]),
    "source": (event(source="a b"), ["#/source"]),
    "type": (event(type="Microsoft.Storage/Blob"), ["#/type"]),
    "a type of ours": (event(type="daybook.webhook.created"), ["#/type"]),
    "time": (event(time="2026-11-20T08:00:00"), ["#/time"]),
    "content": (event(datacontenttype="text/plain"), ["#/datacontenttype"]),
    "stream": (event(stream="a//b"), ["#/stream"]),
    "subject": (event(subject=""), ["#/subject"]),
    "correlation": (event(correlationid="short"), ["#/correlationid"]),
    "an extension's name": (event(partition_key="x"), ["#/partition_key"]),
    "an extension's value": (event(a={"b": 1}, c=[1], d=1.5), ["#/a", "#/c", "#/d"]),
    "metadata": (event(long="x" * 9000), ["#"]),
    "no object": ([event()], ["#"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(account: Account, name: str) -> None:
    content, expected = BAD[name]
    response = post(account, content)
    assert response.status_code == 422
    assert places(response) == expected


def test_a_batch_is_refused_with_every_place(account: Account) -> None:
    sent = [event(1), event(2, type="a b"), without("data"), 5, event(6, time="now")]
    response = post(account, sent, MANY)
    assert places(response) == ["#/1/type", "#/2/data", "#/3", "#/4/time"]
    assert places(post(account, [], MANY)) == ["#"]
    assert places(post(account, event(), MANY)) == ["#"]
    twice = [event(), event(data={})]
    assert places(post(account, twice, MANY)) == ["#/1/id"]
    assert post(account, [event()] * 1001, MANY).status_code == 413
    assert account.get("/api/v1/events")["data"] == []


HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/erp",
    "ce-type": "a.b",
    "Content-Type": "application/json",
}


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"ce-type": "a b"}, b"{}", ["ce-type"]),
        ({"ce-time": "now", "ce-id": ""}, b"{}", ["ce-id", "ce-time"]),
        ({"ce-id": "%ff"}, b"{}", ["ce-id"]),
        ({"ce-data": "{}"}, b"{}", ["ce-data"]),
        ({"ce-x": "%00"}, b"{}", ["#"]),
        ({}, b"[]", ["#"]),
    ],
)
def test_what_is_refused_in_headers(
    account: Account, headers: dict[str, str], body: bytes, expected: list[str]
) -> None:
    response = account.client.post(PATH, content=body, headers=HEADERS | headers)
    assert response.status_code == 422
    assert places(response) == expected


def test_a_header_may_be_quoted_and_is_given_once(account: Account) -> None:
    headers = HEADERS | {"ce-id": '"4 \\"1\\" %C3%A9"'}
    sent = account.client.post(PATH, content=b"{}", headers=headers)
    event = account.get(sent.headers["Location"])
    assert event["source_id"] == '4 "1" é'
    twice = [*HEADERS.items(), ("CE-Id", "2")]
    response = account.client.post(PATH, content=b"{}", headers=twice)
    assert places(response) == ["ce-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": ONE + "; charset=UTF-8"}, 202),
        ({"Content-Type": ONE + "; charset=latin-1"}, 415),
        ({"Content-Type": "application/cloudevents+avro"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "text/plain", "ce-specversion": "1.0"}, 415),
        ({"Content-Type": ONE, "Content-Encoding": "gzip"}, 415),
        ({}, 415),
    ],
)
def test_media_types(account: Account, headers: dict[str, str], status: int) -> None:
    body = json.dumps(event()).encode()
    response = account.client.post(PATH, content=body, headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize("kind", [ONE, MANY])
@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"id":"1","id":"2"}', b'{"a":"\\u0000"}']
)
def test_what_is_no_json(account: Account, kind: str, body: bytes) -> None:
    response = post(account, body, kind)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("form", [to_structured_event, to_binary_event])
def test_too_large(account: Account, form: Any) -> None:
    message = form(CloudEvent(ATTRIBUTES, {"x": "x" * 256 * 1024}))
    assert send(account, message).status_code == 413


def test_schemas_hold_for_cloudevents(account: Account) -> None:
    schema = {"required": ["minutes"]}
    account.client.put(
        "/api/v1/webhook-events/hours.validated", json={"schema": schema}
    )
    bare = CloudEvent(ATTRIBUTES, {})
    one = send(account, to_structured_event(bare))
    in_headers = send(account, to_binary_event(bare))
    many = post(account, [event(1), event(2, type="hours.validated")], MANY)
    for response in (one, in_headers, many):
        assert response.json()["code"] == "schema_violation"
    assert places(one) == ["#/data/minutes"]
    assert places(in_headers) == ["#/minutes"]
    assert places(many) == ["#/1/data/minutes"]


def test_one_key_with_other_headers_is_another_request(account: Account) -> None:
    headers = HEADERS | {"Idempotency-Key": "k1"}
    first = account.client.post(PATH, content=b"{}", headers=headers)
    again = account.client.post(PATH, content=b"{}", headers=headers)
    assert again.json() == first.json()
    changed = account.client.post(PATH, content=b"{}", headers=headers | {"ce-id": "2"})
    assert changed.json()["code"] == "idempotency_mismatch"
