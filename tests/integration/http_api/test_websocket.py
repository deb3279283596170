"""Events as they come, over a WebSocket."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import httpx
import pytest

from api.log import audience, seat
from api.log import websocket as route
from api.settings import ApiSettings
from projections.vault import generate_keys
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    open_account,
    running,
)
from tests.support.listening import websocket

PATH = "/api/v1/events/ws"
Socket = aiohttp.ClientWebSocketResponse


def opened(account: Account, **start: Any) -> Any:
    """A WebSocket that has started with the account's key."""
    return websocket(account.server.url, account.key, **start)


async def take(socket: Socket, count: int) -> list[dict[str, Any]]:
    """The next events, whatever pings are between them."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        message = await socket.receive_json(timeout=10)
        if message["op"] != "ping":
            assert message.keys() == {"op", "event"}
            events.append(message["event"])
    return events


async def refusal(socket: Socket) -> tuple[int, str]:
    """How it was closed, and the problem before."""
    message = await socket.receive_json(timeout=10)
    assert message["op"] == "problem"
    problem = message["problem"]
    assert problem["type"] == f"/problems/{problem['code']}"
    assert (problem["instance"], problem["request_id"][:4]) == (PATH, "req_")
    last = await socket.receive(timeout=10)
    assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 4000 + problem["status"])
    return problem["status"], problem["code"]


async def test_what_is_there_and_then_what_comes(account: Account) -> None:
    first = account.publish("a.b", data={"n": 1}, subject="worker/1")
    before = first["position"] - 1
    async with opened(account, after=before) as socket:
        ready = await socket.receive_json(timeout=10)
        assert ready == {"op": "ready", "position": before}
        [event] = await take(socket, 1)
        assert event == account.get("/api/v1/events", after=before)["data"][0]
        made = [account.publish()["id"] for _ in range(3)]
        assert [e["id"] for e in await take(socket, 3)] == made


async def test_from_now_when_no_place_is_named(account: Account) -> None:
    before = account.publish()["position"]
    async with opened(account) as socket:
        ready = await socket.receive_json(timeout=10)
        assert ready == {"op": "ready", "position": before}
        after = account.publish()
        assert [e["id"] for e in await take(socket, 1)] == [after["id"]]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ({"type": ["a.*"]}, "a.x a.y"),
        ({"type": "a.y"}, "a.y"),
        ({"stream": "s/1"}, "a.x b.x"),
        ({"stream": ["s/*"], "type": ["b.*", "a.y"]}, "a.y b.x"),
        ({"subject": "w/1"}, "a.y b.x"),
    ],
)
async def test_filters(account: Account, start: dict[str, Any], expected: str) -> None:
    async with opened(account, **start) as socket:
        await socket.receive_json(timeout=10)
        account.publish("a.x", stream="s/1")
        account.publish("a.y", stream="s/2", subject="w/1")
        account.publish("b.x", stream="s/1", subject="w/1")
        seen = await take(socket, len(expected.split()))
        assert [event["type"] for event in seen] == expected.split()


async def test_pings_say_how_far_it_is(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "PING_SECONDS", 0.2)
    async with opened(account, type="nothing") as socket:
        await socket.receive_json(timeout=10)
        last = account.publish()["position"]
        places = [await socket.receive_json(timeout=10) for _ in range(2)]
        assert places[-1] == {"op": "ping", "position": last}


STARTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "no token": ({"token": None}, 422, "invalid"),
    "an unknown token": ({"token": "dbk_x"}, 401, "unauthenticated"),
    "a token that is no text": ({"token": "\u00e9"}, 401, "unauthenticated"),
    "the operator's": ({"token": OPERATOR_KEY}, 403, "scope_missing"),
    "another op": ({"op": "begin"}, 422, "invalid"),
    "an unknown member": ({"since": 1}, 422, "unknown_field"),
    "a bad pattern": ({"type": ["a*"]}, 422, "pattern_invalid"),
    "a bad stream": ({"stream": "a//b"}, 422, "pattern_invalid"),
    "an empty subject": ({"subject": ""}, 422, "invalid"),
    "beyond the head": ({"after": 10**6}, 409, "log_rewound"),
    "below": ({"after": -1}, 422, "invalid"),
}


@pytest.mark.parametrize("name", STARTS)
async def test_bad_starts(account: Account, name: str) -> None:
    changed, status, code = STARTS[name]
    async with websocket(account.server.url, None) as socket:
        start = {"op": "start", "token": account.key} | changed
        await socket.send_str(json.dumps(start))
        assert await refusal(socket) == (status, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", "malformed_json"), ("[]", "invalid"), ('{"op":1,"op":2}', "malformed_json")],
)
async def test_bad_texts(account: Account, text: str, code: str) -> None:
    async with websocket(account.server.url, None) as socket:
        await socket.send_str(text)
        assert (await refusal(socket))[1] == code


async def test_who_says_nothing_is_let_go(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "START_SECONDS", 0.1)
    async with websocket(account.server.url, None) as socket:
        assert await refusal(socket) == (401, "unauthenticated")


async def test_who_may_not_read_is_refused(account: Account) -> None:
    key = account.with_scopes("events:write").headers["Authorization"].split()[1]
    async with websocket(account.server.url, key) as socket:
        assert await refusal(socket) == (403, "scope_missing")


async def test_a_client_has_nothing_more_to_say(account: Account) -> None:
    async with opened(account) as socket:
        await socket.receive_json(timeout=10)
        await socket.send_json({"op": "start", "token": account.key})
        assert await refusal(socket) == (422, "invalid")


async def test_a_token_does_not_belong_in_the_url(account: Account) -> None:
    url = f"{account.server.url}{PATH}?token=x"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        assert await refusal(socket) == (422, "unknown_field")


def test_it_is_no_page(stranger: httpx.Client) -> None:
    response = stranger.get(PATH)
    assert response.status_code == 426
    assert response.json()["code"] == "upgrade_required"
    assert response.headers["Upgrade"] == "websocket"


async def test_another_tenants_events_are_not_seen(
    account: Account, other: Account
) -> None:
    async with opened(account, after=0, type=["*", "daybook.*"]) as socket:
        await socket.receive_json(timeout=10)
        other.publish(stream="s", subject="w")
        mine = account.publish(stream="s", subject="w")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["id"] != mine["id"]:
            seen += await take(socket, 1)
        assert seen == account.get("/api/v1/events", type=["*", "daybook.*"])["data"]


async def test_a_tenant_has_so_many_listeners_of_both_kinds(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "MOST", 1)
    async with opened(account) as one:
        await one.receive_json(timeout=10)
        assert account.client.get("/api/v1/events/sse").status_code == 429
        async with opened(account) as another:
            assert await refusal(another) == (429, "busy")


async def test_a_key_that_ends_takes_its_sockets_along(account: Account) -> None:
    made = account.client.post(
        "/api/v1/keys", json={"name": "short", "scopes": ["events:read"]}
    ).json()
    async with websocket(account.server.url, made["key"]) as socket:
        await socket.receive_json(timeout=10)
        account.client.delete(f"/api/v1/keys/{made['id']}")
        begun = time.monotonic()
        assert await refusal(socket) == (401, "unauthenticated")
        assert time.monotonic() - begun < 3


async def test_a_platform_key_names_its_tenant_beside_it(
    account: Account, operator: httpx.Client
) -> None:
    body = {"name": "platform", "scopes": ["tenants:act", "events:read"]}
    key = operator.post("/api/v1/keys", json=body).json()["key"]
    event = account.publish()
    headers = {"Daybook-Tenant": account.tenant_id}
    url = account.server.url
    async with websocket(url, key, after=0, headers=headers) as socket:
        await socket.receive_json(timeout=10)
        assert [e["id"] for e in await take(socket, 1)] == [event["id"]]
    async with websocket(url, key) as socket:
        assert await refusal(socket) == (403, "scope_missing")


async def test_sockets_close_with_the_server(server: Server) -> None:
    settings = ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
        limit_default=1_000_000,
        limit_auth=1_000_000,
    )
    with running(settings) as url:
        here = Server(url, server.database_url)
        with here.client(OPERATOR_KEY) as operator:
            account = open_account(here, operator)
        connection = opened(account)
        socket = await connection.__aenter__()
        await socket.receive_json(timeout=10)
        begun = asyncio.get_running_loop().time()
    last = await socket.receive(timeout=10)
    assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, route.GOING_AWAY)
    assert asyncio.get_running_loop().time() - begun < 5
    await connection.__aexit__(None, None, None)
    account.close()
