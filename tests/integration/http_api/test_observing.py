"""What is told of each request: a line, and figures; by route, never by what it names."""

import asyncio
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from projections import telemetry
from tests.integration.http_api.conftest import Account
from tests.support.listening import websocket
from tests.support.waiting import eventually, soon

COUNT = "daybook_requests_total"
SECONDS = "daybook_request_seconds_count"


class Watched:
    """The lines of the requests that were made since."""

    def __init__(self, lines: list[Any]) -> None:
        self._lines = lines

    def sockets(self) -> list[Any]:
        """Those of WebSockets."""
        return [line for line in self._lines if line["event"] == "websocket"]

    def of(self, request_id: str) -> dict[str, Any]:
        """The line of a request; it is written after the answer has left."""

        def found() -> list[Any]:
            wanted = ("request", request_id)
            return [
                line
                for line in self._lines
                if (line["event"], line.get("request_id")) == wanted
            ]

        [line] = eventually(found)
        return dict(line)


@pytest.fixture
def watched() -> Any:
    with capture_logs([merge_contextvars]) as lines:
        yield Watched(lines)


def counted(**labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(COUNT, labels) or 0.0


def line_of(watched: Watched, response: httpx.Response) -> dict[str, Any]:
    line = watched.of(response.headers["X-Request-ID"])
    assert line.pop("ms") > 0
    assert line.pop("event") == "request"
    return line


def test_a_request_of_a_tenant(account: Account, watched: Watched) -> None:
    response = account.client.get("/api/v1/events/absent-id")
    key = account.get("/api/v1/me")["key_id"]
    assert line_of(watched, response) == {
        "method": "GET",
        "route": "/api/v1/events/{event_id}",
        "status": 404,
        "tenant": account.tenant_id,
        "key": key,
        "request_id": response.headers["X-Request-ID"],
        "log_level": "info",
    }


def test_a_request_of_the_operator(operator: httpx.Client, watched: Watched) -> None:
    line = line_of(watched, operator.get("/api/v1/tenants"))
    assert (line["key"], line["status"]) == ("operator", 200)
    assert "tenant" not in line


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/nowhere/of/ours", "none"),
        ("DELETE", "/api/v1/events", "none"),
        ("HEAD", "/docs", "/docs"),
        ("GET", "/", "/"),
    ],
)
def test_a_request_of_nobody(
    stranger: httpx.Client, watched: Watched, method: str, path: str, route: str
) -> None:
    line = line_of(watched, stranger.request(method, path))
    assert line["route"] == route
    assert not line.keys() & {"tenant", "key"}


def test_those_who_watch_are_not_watched(
    stranger: httpx.Client, watched: Watched
) -> None:
    assert line_of(watched, stranger.get("/health/live"))["log_level"] == "debug"


async def test_a_websocket_when_it_is_over(account: Account, watched: Watched) -> None:
    async with websocket(account.server.url, account.key) as socket:
        assert (await socket.receive_json())["op"] == "ready"
        await soon(lambda: "daybook_listeners 1.0" in telemetry.text().decode())
    [line] = await soon(watched.sockets)
    key = await asyncio.to_thread(lambda: account.get("/api/v1/me")["key_id"])
    assert line["route"] == "/api/v1/events/ws"
    assert (line["tenant"], line["key"]) == (account.tenant_id, key)
    assert line["request_id"].startswith("req_")


def test_requests_are_counted_by_route(account: Account) -> None:
    route = "/api/v1/webhooks/{webhook_id}"
    absent = {"method": "GET", "route": route, "status": "404"}
    before = counted(**absent)
    timed = {"method": "GET", "route": route}
    took = telemetry.REGISTRY.get_sample_value(SECONDS, timed) or 0.0
    for number in range(3):
        account.client.get(f"/api/v1/webhooks/wh_{number}")
    eventually(lambda: counted(**absent) == before + 3)
    assert telemetry.REGISTRY.get_sample_value(SECONDS, timed) == took + 3


def test_a_method_of_ones_own_makes_no_series(stranger: httpx.Client) -> None:
    before = counted(method="other", route="none", status="404")
    stranger.request("PROPFIND", "/nowhere")
    eventually(lambda: counted(method="other", route="none", status="404") > before)
