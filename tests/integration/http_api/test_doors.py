"""Doors: hosts, origins, proxies and heads, where they are set and where they are not."""

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.settings import ApiSettings
from projections.vault import generate_keys
from tests.integration.http_api.conftest import OPERATOR_KEY, Server, running
from tests.support import plain_http
from workers.protocol import MOST_HEAD_BYTES

PAGE = "https://app.example"
EVENTS = "/api/v1/events"


@pytest.fixture
def settings(server: Server) -> ApiSettings:
    return ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
    )


@pytest.fixture
def behind(settings: ApiSettings) -> Iterator[httpx.Client]:
    """An API with every door."""
    with (
        running(
            msgspec.structs.replace(
                settings,
                allowed_hosts="api.example, 127.0.0.1",
                cors_origins=f"{PAGE},https://b.example",
                trusted_proxies="127.0.0.1",
            )
        ) as url,
        plain_http.client(url) as client,
    ):
        yield client


HOSTS = {
    "api.example": True,
    "API.example:8484": True,
    "127.0.0.1": True,
    "evil.example": False,
    "api.example.evil": False,
    "": False,
}


@pytest.mark.parametrize("host", HOSTS)
def test_other_names_are_refused(behind: httpx.Client, host: str) -> None:
    answer = behind.get("/docs", headers={"Host": host})
    assert (answer.status_code == 200) == HOSTS[host]
    if not HOSTS[host]:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    # A load balancer asks for health by address.
    assert behind.get("/health/live", headers={"Host": host}).status_code == 200


def test_sockets_under_other_names_are_refused(behind: httpx.Client) -> None:
    url = f"ws://evil.example:{behind.base_url.port}{EVENTS}/ws"
    with (
        socket.create_connection(("127.0.0.1", behind.base_url.port or 0)) as sock,
        pytest.raises(InvalidStatus) as refused,
        connect(url, sock=sock),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_named_origins_may_call(behind: httpx.Client) -> None:
    answer = behind.get(EVENTS, headers={"Origin": PAGE})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Daybook-Position" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for headers in ({"Origin": "https://evil.example"}, {}):
        answer = behind.get(EVENTS, headers=headers)
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_browsers_may_ask_beforehand(behind: httpx.Client) -> None:
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "PATCH"}
    answer = behind.options("/api/v1/webhooks/x", headers=asks)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
    asks["Origin"] = "https://evil.example"
    refused = behind.options("/api/v1/webhooks/x", headers=asks)
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_any_origin_may_be_named(settings: ApiSettings) -> None:
    anybody = msgspec.structs.replace(settings, cors_origins="*")
    with running(anybody) as url:
        answer = httpx.get(f"{url}/docs", headers={"Origin": PAGE}, trust_env=False)
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


def test_without_settings_there_are_no_doors(stranger: httpx.Client) -> None:
    headers = {"Origin": PAGE, "Host": "any.example", "X-Forwarded-Proto": "https"}
    answer = stranger.get("/docs", headers=headers)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "Strict-Transport-Security" not in answer.headers


def test_trusted_proxies_are_believed(settings: ApiSettings, database_url: str) -> None:
    given = {"database_url": database_url, "trusted_proxies": "127.0.0.1"}
    with (
        running(msgspec.structs.replace(settings, **given)) as url,
        plain_http.client(url) as client,
    ):

        def left(address: str) -> str:
            headers = {
                "Authorization": "Bearer x",
                "X-Forwarded-For": f"203.0.113.9, {address}",
                "X-Forwarded-Proto": "https",
            }
            answer = client.get(EVENTS, headers=headers)
            assert answer.headers["Strict-Transport-Security"] == (
                "max-age=31536000; includeSubDomains"
            )
            return answer.headers["RateLimit"].partition(";t=")[0]

        # Counted for the nearest address that is no proxy, not for what it says of others.
        assert left("192.0.2.1") == '"auth";r=9'
        assert left("192.0.2.1") == '"auth";r=8'
        assert left("192.0.2.2") == '"auth";r=9'


def raw(url: str, *parts: bytes) -> bytes:
    """What the server says to these bytes before it closes the connection."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), 10) as sock:
        try:
            for part in parts:
                sock.sendall(part)
        except OSError:
            pass  # it did not want all of it
        heard = b""
        try:
            while received := sock.recv(65536):
                heard += received
        except OSError:
            pass
        return heard


def test_a_head_has_an_end(server: Server) -> None:
    begun = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    line = b"X-A: " + b"a" * 1000 + b"\r\n"
    fits = MOST_HEAD_BYTES // len(line) - 1
    assert raw(server.url, begun, line * fits, b"\r\n").startswith(b"HTTP/1.1 302")
    endless: list[Any] = [
        [begun, *[line] * 2 * fits],
        [begun, b"X-A: ", *[b"a" * 1000] * 200],
        [b"GET /", *[b"a" * 1000] * 200],
    ]
    for parts in endless:
        assert raw(server.url, *parts).startswith(b"HTTP/1.1 400")
    # A body is not part of it, however much of it comes at once.
    head = b"POST /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d"
    body = b"x" * 3 * MOST_HEAD_BYTES
    heard = raw(server.url, head % len(body) + b"\r\n\r\n" + body)
    assert heard.startswith(b"HTTP/1.1 405")


MALFORMED = [
    b"\r\n\r\nnonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_no_http_ends_the_connection(server: Server, sent: bytes) -> None:
    assert raw(server.url, sent).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "path",
    ["/%00", "/%ff", "/api/v1/events/%2e%2e", "//", "/api//v1", "/" + "a" * 9000],
)
def test_odd_paths_are_problems(stranger: httpx.Client, path: str) -> None:
    heard = raw(
        str(stranger.base_url),
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),
    )
    status = int(heard.split()[1])
    assert status in (302, 401, 404)
    assert (status == 302) == (path == "//")
