"""`at_least`: what follows from a write is shown, or waited for, or said to be missing."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api import consistency
from tests.integration.http_api.conftest import Account, Server
from tests.integration.http_api.test_projections import follow

DELIVERIES, STREAMS = "/api/v1/webhook-deliveries", "/api/v1/streams"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that wait for nothing."""
    monkeypatch.setattr(consistency, "PATIENCE_SECONDS", 0.0)


def behind(account: Account, path: str, at_least: int) -> bool:
    response = account.client.get(path, params={"at_least": at_least})
    if response.status_code == 200:
        return False
    assert (response.status_code, response.json()["code"]) == (503, "read_model_behind")
    assert response.headers["Retry-After"] == "1"
    return True


def test_reads_say_when_they_are_behind(
    account: Account, hand_off: Callable[[], None], server: Server, impatient: None
) -> None:
    assert not behind(account, STREAMS, 0)
    webhook = account.webhook()
    hand_off()
    event = account.publish()
    position = event["position"]
    paths = [
        DELIVERIES,
        f"/api/v1/webhooks/{webhook['id']}/deliveries",
        f"/api/v1/events/{event['id']}",
    ]
    assert [behind(account, path, position) for path in paths] == [True] * 3
    assert [behind(account, path, position - 1) for path in paths] == [False] * 3
    hand_off()
    assert [behind(account, path, position) for path in paths] == [False] * 3
    [delivery] = account.get(DELIVERIES, at_least=position)["data"]
    assert not behind(account, f"{DELIVERIES}/{delivery['id']}", position)
    assert behind(account, STREAMS, position)
    follow(server)
    assert not behind(account, STREAMS, position)
    assert behind(account, STREAMS, position + 1)


def test_they_wait_for_it(account: Account, hand_off: Callable[[], None]) -> None:
    account.webhook()
    position = account.publish()["position"]
    answers: list[httpx.Response] = []

    def read() -> None:
        params = {"at_least": position}
        answers.append(account.client.get(DELIVERIES, params=params))

    reader = threading.Thread(target=read)
    reader.start()
    hand_off()
    reader.join()
    assert [one["position"] for one in answers[0].json()["data"]] == [position]


def test_they_wait_for_two_seconds(account: Account) -> None:
    begun = time.monotonic()
    assert behind(account, STREAMS, 10**9)
    assert 2.0 <= time.monotonic() - begun < 4.0


def test_pages_go_on_without_it(account: Account, server: Server) -> None:
    for number in range(3):
        account.publish(stream=f"s/{number}")
    follow(server)
    page = account.get(STREAMS, limit=2, at_least=1)
    rest = account.get(STREAMS, limit=2, cursor=page["next"])
    assert [one["stream"] for one in rest["data"]] == ["s/2"]


@pytest.mark.parametrize("value", ["-1", "x", "1.0", "", str(2**53)])
def test_it_is_a_position(account: Account, value: str) -> None:
    answer: Any = account.client.get(STREAMS, params={"at_least": value})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (
        422,
        "at_least",
    )
