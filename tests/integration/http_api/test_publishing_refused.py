"""Bad input to publishing: its code, its place, and nothing stored."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.http_api.conftest import Account

EVENTS, BATCH = "/api/v1/events", "/api/v1/events/batch"
KIB = 1024
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def nothing_is_stored(account: Account) -> Iterator[None]:
    """Holds after every test of this file."""
    before = account.get(EVENTS, type="*")["position"]
    yield
    assert account.get(EVENTS, type="*")["position"] == before


MALFORMED = {
    "nothing": b"",
    "not json": b"hello",
    "half": b'{"type": "a", "data": {',
    "two": b'{"type":"a","data":{}} {}',
    "bad utf-8": b'{"type":"a","data":{"x":"\xff\xfe"}}',
    "utf-16": '{"type":"a","data":{}}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"type":"a","data":{}}',
    "nul": b'{"type":"a","data":{"x":"\\u0000"}}',
    "bare nul": b'{"type":"a","data":{"x":"\x00"}}',
    "half a surrogate pair": b'{"type":"a","data":{"x":"\\ud800"}}',
    "repeated member": b'{"type":"a","data":{"x":1,"x":2}}',
    "repeated field": b'{"type":"a","type":"b","data":{}}',
    "too deep": b'{"type":"a","data":' + b'{"a":' * 65 + b"1" + b"}" * 65 + b"}",
    "far too deep": b'{"type":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "NaN": b'{"type":"a","data":{"x":NaN}}',
    "comment": b'{"type":"a","data":{}/* */}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("path", [EVENTS, BATCH])
def test_malformed_json(account: Account, path: str, body: bytes) -> None:
    if path == BATCH and body:
        body = b'{"events":[' + body + b"]}"
    response = account.client.post(path, content=body, headers=JSON)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, "malformed_json")
    assert problem["detail"]


WRONG: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "not an object": ([], [("#", "invalid")]),
    "nothing": ({}, [("#/type", "invalid"), ("#/data", "invalid")]),
    "no data": ({"type": "a"}, [("#/data", "invalid")]),
    "data is null": ({"type": "a", "data": None}, [("#/data", "invalid")]),
    "data is a list": ({"type": "a", "data": []}, [("#/data", "invalid")]),
    "type is null": ({"type": None, "data": {}}, [("#/type", "invalid")]),
    "type is a number": ({"type": 1, "data": {}}, [("#/type", "invalid")]),
    "type is empty": ({"type": "", "data": {}}, [("#/type", "invalid")]),
    "type with a space": ({"type": "a b", "data": {}}, [("#/type", "invalid")]),
    "type with an end": ({"type": "a.", "data": {}}, [("#/type", "invalid")]),
    "type in Greek": ({"type": "αβγ", "data": {}}, [("#/type", "invalid")]),
    "type too long": ({"type": "a" * 129, "data": {}}, [("#/type", "invalid")]),
    "ours": ({"type": "daybook.x", "data": {}}, [("#/type", "type_reserved")]),
    "exactly ours": ({"type": "daybook", "data": {}}, [("#/type", "type_reserved")]),
    "unknown": ({"type": "a", "data": {}, "x": 1}, [("#/x", "unknown_field")]),
    "unknown, escaped": (
        {"type": "a", "data": {}, "a/b~c": 1},
        [("#/a~1b~0c", "unknown_field")],
    ),
    "not built": (
        {"type": "a", "data": {}, "schema": {}},
        [("#/schema", "unknown_field")],
    ),
    "read only": (
        {"type": "a", "data": {}, "position": 1},
        [("#/position", "unknown_field")],
    ),
    "several": (
        {"type": "a b", "data": 1, "x": 1, "stream": "/", "occurred_at": "noon"},
        [
            ("#/x", "unknown_field"),
            ("#/occurred_at", "invalid"),
            ("#/type", "invalid"),
            ("#/stream", "invalid"),
            ("#/data", "invalid"),
        ],
    ),
}
FIELDS: dict[str, list[Any]] = {
    "stream": ["", "/a", "a/", "a//b", "a/./b", "..", "$a", "a b", "é", "a" * 257, 1],
    "id": ["", "short", "a" * 65, "with.dots", "with space", "ümläut-id", 12345678],
    "source": ["", "a b", "a\n", "x" * 257, {}],
    "subject": ["", "a\tb", "x" * 257, 5],
    "correlation_id": ["", "short", "with space", 1],
    "causation_id": ["", "short", "with space", []],
    "occurred_at": [
        "",
        "noon",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-10:00",
        1_700_000_000,
    ],
    "metadata": [
        [],
        "text",
        1,
        {"": 1},
        {"k" * 65: 1},
        {str(n): n for n in range(51)},
        {"x": "y" * 9000},
    ],
    "expected_version": [-1, 1.5, "1", 2**53, True],
}


def test_wrong_fields_are_named(account: Account) -> None:
    for name, (event, expected) in WRONG.items():
        response = account.client.post(EVENTS, json=event)
        errors = response.json()["errors"]
        assert response.status_code == 422, name
        assert [(one["pointer"], one["code"]) for one in errors] == expected, name
        codes = {one["code"] for one in errors}
        code = codes.pop() if len(codes) == 1 else "invalid"
        assert response.json()["code"] == code, name


@pytest.mark.parametrize("field", FIELDS)
def test_wrong_values_are_named(account: Account, field: str) -> None:
    for value in FIELDS[field]:
        event = {"type": "a", "data": {}, "stream": "s", field: value}
        response = account.client.post(EVENTS, json=event)
        assert response.status_code == 422, value
        [error] = response.json()["errors"]
        assert (error["pointer"], error["code"]) == (f"#/{field}", "invalid"), value


def test_an_expected_version_needs_a_stream(account: Account) -> None:
    event = {"type": "a", "data": {}, "expected_version": 0}
    [error] = account.client.post(EVENTS, json=event).json()["errors"]
    assert error["pointer"] == "#/expected_version"


def test_a_batch_names_every_bad_event(account: Account) -> None:
    good = {"type": "a", "data": {}}
    events = [good, {"type": "a b", "data": {}}, good, {"type": "c"}, 5, {"data": 1}]
    response = account.client.post(BATCH, json={"events": events, "x": 1})
    found = [(one["pointer"], one["code"]) for one in response.json()["errors"]]
    assert found == [
        ("#/x", "unknown_field"),
        ("#/events/1/type", "invalid"),
        ("#/events/3/data", "invalid"),
        ("#/events/4", "invalid"),
        ("#/events/5/type", "invalid"),
        ("#/events/5/data", "invalid"),
    ]


def test_a_problem_lists_a_hundred_places(account: Account) -> None:
    events = [{"type": "a b", "data": {}} for _ in range(1000)]
    problem = account.client.post(BATCH, json={"events": events}).json()
    assert len(problem["errors"]) == 100
    assert problem["detail"] == "1000 fields are wrong"


@pytest.mark.parametrize("body", [{}, {"events": []}, {"events": {}}, {"events": None}])
def test_a_batch_is_a_list_of_events(account: Account, body: Any) -> None:
    response = account.client.post(BATCH, json=body)
    [error] = response.json()["errors"]
    assert (response.status_code, error["pointer"]) == (422, "#/events")


def test_an_id_twice_in_a_batch_with_other_content(account: Account) -> None:
    events = [{"type": "a", "data": {"x": n}, "id": "one-id-twice"} for n in (1, 2)]
    [error] = account.client.post(BATCH, json={"events": events}).json()["errors"]
    assert error["pointer"] == "#/events/1/id"


MEDIA_TYPES = {
    "none": {},
    "form": {"Content-Type": "application/x-www-form-urlencoded"},
    "text": {"Content-Type": "text/plain"},
    "other json": {"Content-Type": "application/cloudevents+json"},
    "charset": {"Content-Type": "application/json; charset=latin-1"},
    "compressed": {**JSON, "Content-Encoding": "gzip"},
}


@pytest.mark.parametrize("headers", MEDIA_TYPES.values(), ids=MEDIA_TYPES)
def test_media_types(account: Account, headers: dict[str, str]) -> None:
    body = b'{"type":"a","data":{}}'
    response = account.client.post(EVENTS, content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "media_type")


def event_of(size: int) -> bytes:
    frame = b'{"type":"a","data":{"x":"%s"}}'
    return frame % (b"y" * (size - len(frame) + 2))


def test_too_large(account: Account) -> None:
    large = event_of(256 * KIB + 1)
    batch = b'{"events":[%s]}' % b",".join([event_of(200 * KIB)] * 42)
    one_in_a_batch = b'{"events":[%s]}' % event_of(256 * KIB + 100)
    many = json.dumps({"events": [{"type": "a", "data": {}}] * 1001}).encode()
    for path, body in (
        (EVENTS, large),
        (BATCH, batch),
        (BATCH, one_in_a_batch),
        (BATCH, many),
        ("/api/v1/webhooks", large[: 65 * KIB]),
    ):
        response = account.client.post(path, content=body, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_too_large_without_saying_so(account: Account) -> None:
    """A chunked body has no length to look at."""

    def chunks() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * KIB

    response = account.client.post(EVENTS, content=chunks(), headers=JSON)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_too_large_by_announcement(account: Account) -> None:
    """It is refused before a byte of it has come."""
    address = urlsplit(account.server.url)
    head = (
        f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=5) as sock:
        sock.sendall(head.encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 413")


def test_an_unknown_parameter_is_refused(account: Account) -> None:
    body = {"type": "a", "data": {}}
    response = account.client.post(f"{EVENTS}?x=1", json=body)
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"parameter": "x", "code": "unknown_field", "detail": "it is not known here"}
    ]


def test_a_route_that_is_not_built_is_absent(account: Account) -> None:
    path = "/api/v1/users"
    response = account.client.post(path, json={})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert path not in account.client.get("/openapi.json").text
