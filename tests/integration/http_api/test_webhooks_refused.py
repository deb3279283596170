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
        "https://example.com:8443/",
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
    "retry": ["", "slow", "Fast"],
    "timeout_seconds": [0, 31, 2**40],
    "max_in_flight": [0, 51],
    "metadata": [{"": 1}, {str(n): n for n in range(51)}, {"x": "y" * 9000}],
}
CODES = {"url": "url_refused", "event_types": "pattern_invalid"}

MISTYPED: dict[str, list[Any]] = {
    "url": [1, None, ["https://example.com"]],
    "event_types": ["a", [1], {"a": 1}, None],
    "name": [5],
    "timeout_seconds": ["15", 15.5, True, -1],
    "max_in_flight": ["10"],
    "metadata": [[], "x"],
}

NOT_BUILT: dict[str, Any] = {
    "streams": ["*"],
    "filter": None,
    "headers": {},
    "format": "standard",
    "signing": ["v1"],
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "rate_per_second": 5,
    "ordering": "none",
    "on_dead": "continue",
    "disable_after": {"failures": 10, "over_seconds": 86400},
    "keep_response": False,
    "start": "now",
    "retry": {"delays": [1, 2], "jitter": 0.1, "max_age_seconds": 100},
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


@pytest.mark.parametrize("field", NOT_BUILT)
def test_what_is_not_built(account: Account, field: str) -> None:
    found = errors(account, GOOD | {field: NOT_BUILT[field]})
    assert found == [(f"#/{field}", "unknown_field")]


def test_all_that_is_wrong_is_named(account: Account) -> None:
    body = {
        "url": "http://example.com",
        "event_types": ["ok", "a*", "*b"],
        "name": 5,
        "retry": "slow",
        "foo": 1,
    }
    assert sorted(errors(account, body)) == [
        ("#/event_types/1", "pattern_invalid"),
        ("#/event_types/2", "pattern_invalid"),
        ("#/foo", "unknown_field"),
        ("#/name", "invalid"),
        ("#/retry", "invalid"),
        ("#/url", "url_refused"),
    ]


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
