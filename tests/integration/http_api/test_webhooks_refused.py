"""Bad webhooks: each wrong place is named, and nothing is made."""

from typing import Any

import pytest

from tests.integration.http_api.conftest import Account

PATH = "/api/v1/webhooks"
GOOD: dict[str, Any] = {"url": "https://example.com/x", "event_types": ["a"]}

WRONG: dict[str, list[Any]] = {
    "url": [
        "",
        "example.com",
        "http://example.com/",
        "https://example.com:8444/",
        "https://user:pass@example.com/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://example.com/#x",
        "https://example.com/ x",
        "https://internal/",
        "ftp://example.com/",
        "https://example.com/" + "x" * 2048,
    ],
    "event_types": [[], ["a*"], ["*.a"], [""], ["a b"], ["a"] * 101],
    "name": ["", "a\nb", "x" * 129],
    "description": ["x" * 1025],
    "streams": [[], ["s*t"], ["a//b"], [""], ["s"] * 101],
    "filter": [
        {"data.x": {"$regex": "a"}},
        {"payload.x": 1},
        {"$or": []},
        {"data.x": "y" * 4096},
        {f"data.{n}": n for n in range(51)},
        5,
        [],
    ],
    "headers": [
        {"Host": "x"},
        {"content-length": "5"},
        {"Webhook-Id": "x"},
        {"Daybook-Type": "x"},
        {"Connection": "close"},
        {"X": "a\r\nb"},
        {"X": "***"},
        {"X-A": "1", "x-a": "2"},
        {"a b": "x"},
        {f"X-{n}": "x" for n in range(21)},
        {"X": "y" * 4096},
    ],
    "format": ["xml", ""],
    "signing": [[], ["v2"], ["v1", "v1"]],
    "secret": [
        "",
        "x",
        "whsec_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La",
        "whpk_" + "A" * 44,
    ],
    "retry": [
        "",
        "slow",
        "Fast",
        {"delays": [0]},
        {"delays": [1] * 21},
        {"delays": [1], "jitter": 2},
        {"delays": [1], "max_age_seconds": 0},
        {"jitter": 0.1},
    ],
    "timeout_seconds": [0, 31, 2**40],
    "rate_per_second": [0, -1, 1e6],
    "max_in_flight": [0, 51],
    "ordering": ["position"],
    "on_dead": ["wait"],
    "disable_after": [{"failures": 0}, {"over_seconds": -1}, {"failures": 10**6}],
    "start": [
        "soon",
        {"position": 10**9},
        {},
        {"position": 1, "time": "2026-11-20T08:00:00Z"},
    ],
    "networks": [[], ["203.0.113.7"], ["203.0.113.1/24"], ["203.0.113.0/24"] * 21],
    "metadata": [{"": 1}, {str(n): n for n in range(51)}, {"x": "y" * 9000}],
}
CODES = {
    "url": "url_refused",
    "event_types": "pattern_invalid",
    "streams": "pattern_invalid",
    "filter": "filter_invalid",
}

MISTYPED: dict[str, list[Any]] = {
    "url": [1, None, ["https://example.com"]],
    "event_types": ["a", [1], {"a": 1}, None],
    "name": [5],
    "timeout_seconds": ["15", 15.5, True, -1],
    "max_in_flight": ["10"],
    "streams": ["*", [1]],
    "headers": [["X"], {"X": 1}],
    "format": [1],
    "signing": ["v1"],
    "secret": [1],
    "retry": [1, ["fast"], {"delays": ["1"]}, {"delays": 5}],
    "rate_per_second": ["1", True],
    "keep_response": [0, "yes"],
    "start": [5, {"position": -1}, {"time": "2026-11-20T08:00:00"}],
    "disable_after": [10, {"failures": "10"}],
    "networks": ["203.0.113.0/24"],
    "metadata": [[], "x"],
}


def errors(account: Account, body: Any) -> list[tuple[str, str]]:
    response = account.client.post(PATH, json=body)
    assert response.status_code == 422, response.text
    return [(one["pointer"], one["code"]) for one in response.json()["errors"]]


@pytest.mark.parametrize("field", WRONG)
def test_wrong_values(account: Account, field: str) -> None:
    for value in WRONG[field]:
        [(pointer, code)] = errors(account, GOOD | {field: value})
        assert pointer.startswith(f"#/{field}"), value
        assert code == CODES.get(field, "invalid"), value
    assert account.get(PATH)["data"] == []


@pytest.mark.parametrize("field", MISTYPED)
def test_wrong_types(account: Account, field: str) -> None:
    for value in MISTYPED[field]:
        [(pointer, code)] = errors(account, GOOD | {field: value})
        assert pointer.startswith(f"#/{field}"), value
        assert code == "invalid", value


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"retry": {"delays": [1], "tries": 3}}, "#/retry/tries"),
        ({"disable_after": {"failures": 1, "after": 3}}, "#/disable_after/after"),
    ],
)
def test_members_nobody_knows(
    account: Account, body: dict[str, Any], pointer: str
) -> None:
    assert errors(account, GOOD | body) == [(pointer, "unknown_field")]


def test_a_filter_out_of_a_doubles_reach(account: Account) -> None:
    body = (
        b'{"url":"https://example.com/x","event_types":["a"],"filter":{"data.x":1e400}}'
    )
    headers = {"Content-Type": "application/json"}
    response = account.client.post(PATH, content=body, headers=headers)
    [error] = response.json()["errors"]
    assert (response.status_code, error["code"]) == (422, "filter_invalid")


def test_all_that_is_wrong_is_named(account: Account) -> None:
    body = {
        "url": "http://example.com",
        "event_types": ["ok", "a*", "*b"],
        "name": 5,
        "retry": "slow",
        "foo": 1,
        "filter": {"data.x": {"$gt": []}, "y": 1},
        "headers": {"Host": "x", "X": "***"},
    }
    assert sorted(errors(account, body)) == [
        ("#/event_types/1", "pattern_invalid"),
        ("#/event_types/2", "pattern_invalid"),
        ("#/filter/data.x/$gt", "filter_invalid"),
        ("#/filter/y", "filter_invalid"),
        ("#/foo", "unknown_field"),
        ("#/headers/Host", "invalid"),
        ("#/headers/X", "invalid"),
        ("#/name", "invalid"),
        ("#/retry", "invalid"),
        ("#/url", "url_refused"),
    ]


def test_ports_that_the_operator_opened(account: Account) -> None:
    webhook = account.webhook(url="https://example.com:8443/hook")
    path = f"/api/v1/webhooks/{webhook['id']}"
    for port, status in ((8443, 200), (8444, 422)):
        changed = {"url": f"https://example.com:{port}/other"}
        assert account.client.patch(path, json=changed).status_code == status


def test_what_is_required(account: Account) -> None:
    expected = [("#/url", "invalid"), ("#/event_types", "invalid")]
    assert errors(account, {}) == expected


@pytest.mark.parametrize(
    ("tail", "body", "pointer"),
    [
        ("/enable", {"resume": "later"}, "#/resume"),
        ("/disable", {"reason": 5}, "#/reason"),
        ("/disable", {"reason": "x" * 1025}, "#/reason"),
        ("/disable", {"because": "x"}, "#/because"),
        ("/rotate-secret", {"secret": "whsec_"}, "#/secret"),
        ("/rotate-secret", {"overlap_seconds": -1}, "#/overlap_seconds"),
        ("/rotate-secret", {"overlap_seconds": 604801}, "#/overlap_seconds"),
        ("/rotate-secret", {"overlap": 5}, "#/overlap"),
        ("/test", {"type": "a b"}, "#/type"),
        ("/test", {"data": []}, "#/data"),
        ("/test", {"stream": "x"}, "#/stream"),
    ],
)
def test_wrong_actions(
    account: Account, tail: str, body: dict[str, Any], pointer: str
) -> None:
    path = f"{PATH}/{account.webhook()['id']}"
    response = account.client.post(path + tail, json=body)
    assert response.status_code == 422
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]
    assert account.get(path)["version"] == 1


@pytest.mark.parametrize("body", [b"[]", b"5", b"null", b'"x"'])
def test_a_body_is_an_object(account: Account, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    path = f"{PATH}/{account.webhook()['id']}"
    for method, where in (("POST", PATH), ("PUT", path), ("POST", f"{path}/enable")):
        response = account.client.request(method, where, content=body, headers=headers)
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "#"
