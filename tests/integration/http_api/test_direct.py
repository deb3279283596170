"""Direct routes: they answer as Litestar's way to the same handler does."""

from typing import Any

import httpx
import pytest

from api.log import publishing
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_authentication import ROUTES

EVENTS = "/api/v1/events"
DIRECT = {
    ("POST", EVENTS),
    ("POST", f"{EVENTS}/batch"),
    ("POST", "/api/v1/cloudevents"),
}
OF_ITS_OWN = {"x-request-id", "date", "ratelimit", "daybook-position", "location"}
EVENT = b'{"type":"a.b","data":{}}'
JSON = {"Content-Type": "application/json"}


def test_which_are_direct() -> None:
    direct = {(method, path) for method, path, one in ROUTES if one and one.is_direct}
    assert direct == DIRECT
    assert all("{" not in path for _, path in direct)


SENT: dict[str, tuple[bytes, dict[str, str]]] = {
    "an event": (EVENT, JSON),
    "a wrong one": (b'{"type":"a b","data":1,"x":2}', JSON),
    "no JSON": (b"{", JSON),
    "a repeat": (b'{"type":"a","data":{},"id":"the-same-id"}', JSON),
    "no media type": (EVENT, {}),
    "too large": (b" " * 300_000, JSON),
    "of another tenant": (EVENT, JSON | {"Daybook-Tenant": "ten_x"}),
    "a bad key": (EVENT, JSON | {"Authorization": "Bearer x"}),
    "under a key": (EVENT, JSON | {"Idempotency-Key": "k"}),
    "under a bad key": (EVENT, JSON | {"Idempotency-Key": "k k"}),
}


def shown(response: httpx.Response) -> tuple[int, Any, Any]:
    """What is the same, whichever way was taken."""
    headers = {n: v for n, v in response.headers.items() if n not in OF_ITS_OWN}
    body = {
        name: value
        for name, value in response.json().items()
        if name not in ("id", "stream", "position", "recorded_at", "request_id")
    }
    return response.status_code, headers, body | {"instance": None}


@pytest.mark.parametrize("name", SENT)
def test_both_ways_answer_alike(account: Account, other: Account, name: str) -> None:
    """Litestar takes a slash at the end for none; a direct route does not know the path."""
    body, headers = SENT[name]
    answers = [
        one.client.post(path, content=body, headers=headers)
        for one, path in ((account, EVENTS), (other, f"{EVENTS}/"))
    ]
    assert shown(answers[0]) == shown(answers[1])
    assert answers[0].status_code == 202 or answers[0].is_error


def test_a_defect_is_a_problem(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(raw: bytes) -> None:
        raise ZeroDivisionError("in the middle of it")

    monkeypatch.setattr(publishing, "event", fail)
    for path in (EVENTS, f"{EVENTS}/"):
        response = account.client.post(path, content=EVENT, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (500, "internal")
        assert "middle" not in response.text
