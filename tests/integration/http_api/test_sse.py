"""Events as they come, over Server-Sent Events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest

from api.log import audience, seat
from api.settings import ApiSettings
from projections.log import following, live
from projections.vault import generate_keys
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    open_account,
    running,
)
from tests.support.listening import Message, messages, sse

PATH = "/api/v1/events/sse"


def opened(account: Account, **params: Any) -> Any:
    """A stream of the account's events."""
    return sse(account.server.url, account.key, **params)


async def take(found: AsyncIterator[Message], count: int) -> list[dict[str, Any]]:
    """The next events, whatever pings are between them."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while len(events) < count:
            message = await anext(found)
            if message.data is not None:
                assert message.event["position"] == int(message.id)
                events.append(message.event)
    return events


async def ids(found: AsyncIterator[Message], count: int) -> list[str]:
    return [event["id"] for event in await take(found, count)]


async def refusal(response: aiohttp.ClientResponse) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status, (await response.json(content_type=None))["code"]


async def test_what_is_there_and_then_what_comes(account: Account) -> None:
    first = account.publish("a.b", data={"n": 1}, subject="worker/1")
    async with opened(account, after=0) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Request-ID"].startswith("req_")
        found = messages(response)
        assert await anext(found) == Message("0", None, "ping")
        [event] = await take(found, 1)
        listed = account.get("/api/v1/events", after=first["position"] - 1)
        assert event == listed["data"][0]
        second, third = account.publish("a.c"), account.publish("a.d")
        assert await ids(found, 2) == [second["id"], third["id"]]


async def test_from_now_when_no_place_is_named(account: Account) -> None:
    before = account.publish()
    async with opened(account) as response:
        found = messages(response)
        assert await anext(found) == Message(str(before["position"]), None, "ping")
        after = account.publish()
        assert await ids(found, 1) == [after["id"]]


async def test_the_last_id_wins(account: Account) -> None:
    made = [account.publish() for _ in range(4)]
    async with opened(account, after=0, last=made[1]["position"]) as response:
        assert await ids(messages(response), 2) == [made[2]["id"], made[3]["id"]]
    async with opened(account, after=made[2]["position"], last="") as response:
        assert await ids(messages(response), 1) == [made[3]["id"]]


@pytest.mark.parametrize("is_live", [False, True])
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "a.x a.y b.x"),
        ({"type": "a.*"}, "a.x a.y"),
        ({"type": ["a.y", "b.x"]}, "a.y b.x"),
        ({"stream": "s/1"}, "a.x b.x"),
        ({"stream": "s/*", "type": "a.*"}, "a.x a.y"),
        ({"subject": "w/1"}, "a.y b.x"),
        ({"type": "daybook.*"}, "daybook.event_type.declared"),
        ({"type": ["daybook.*", "b.*"]}, "b.x daybook.event_type.declared"),
    ],
)
async def test_filters(
    account: Account, params: dict[str, Any], expected: str, is_live: bool
) -> None:
    after = account.publish("z")["position"]

    def publish() -> None:
        account.publish("a.x", stream="s/1")
        account.publish("a.y", stream="s/2", subject="w/1")
        account.publish("b.x", stream="s/1", subject="w/1")
        account.client.put("/api/v1/webhook-events/c", json={})

    if not is_live:
        publish()
    async with opened(account, after=after, **params) as response:
        found = messages(response)
        await anext(found)
        if is_live:
            publish()
        seen = await take(found, len(expected.split()))
        assert [event["type"] for event in seen] == expected.split()


async def test_data_is_what_was_sent_whatever_its_lines(account: Account) -> None:
    """A line end within `data` would be the end of a field."""
    raw = b'{"type": "a.b", "data": {\r\n  "x": 1e2,\r  "y": "\xe2\x80\xa8"\n\n}}'
    account.client.post(
        "/api/v1/events", content=raw, headers={"Content-Type": "application/json"}
    )
    async with opened(account, after=0) as response:
        found = messages(response)
        while (message := await anext(found)).data is None:
            pass
        assert json.loads(message.data) == message.event
        assert message.event["data"] == {"x": 100, "y": "\u2028"}
        assert '{\n  "x": 1e2,\n  "y": "\u2028"\n\n}' in message.data


async def test_pings_move_a_reader_on_that_filters(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "PING_SECONDS", 0.2)
    start = account.publish()["position"]
    async with opened(account, after=start, type="nothing") as response:
        found = messages(response)
        assert await anext(found) == Message(str(start), None, "ping")
        last = [account.publish() for _ in range(3)][-1]["position"]
        places = [await anext(found) for _ in range(2)]
        assert {(place.data, place.comment) for place in places} == {(None, "ping")}
        assert int(places[-1].id) == last


async def test_head_has_no_end_to_wait_for(account: Account) -> None:
    response = account.client.head(PATH)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert account.client.head(PATH, params={"after": 10**9}).status_code == 409


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "beyond the head": ({"after": 10**6}, 409, "log_rewound"),
    "a last id beyond the head": ({"last": 10**6}, 409, "log_rewound"),
    "not a position": ({"after": "x"}, 422, "invalid"),
    "below": ({"after": -1}, 422, "invalid"),
    "a last id that is none": ({"last": "evt_1"}, 422, "invalid"),
    "a bad pattern": ({"type": "a*"}, 422, "pattern_invalid"),
    "a bad stream": ({"stream": "a//*"}, 422, "pattern_invalid"),
    "an unknown parameter": ({"since": "x"}, 422, "unknown_field"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_followed(account: Account, name: str) -> None:
    params, status, code = REFUSED[name]
    async with opened(account, **params) as response:
        assert await refusal(response) == (status, code)


async def test_another_tenants_events_are_not_seen(
    account: Account, other: Account
) -> None:
    async with opened(account, after=0, type=["*", "daybook.*"]) as response:
        found = messages(response)
        other.publish(stream="s", subject="w")
        mine = account.publish(stream="s", subject="w")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["id"] != mine["id"]:
            seen += await take(found, 1)
        listed = account.get("/api/v1/events", type=["*", "daybook.*"])
        assert seen == listed["data"]


async def test_a_tenant_has_so_many_listeners(
    account: Account, other: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "MOST", 2)
    async with opened(account) as one, opened(account):
        async with opened(account) as third:
            assert await refusal(third) == (429, "busy")
            assert third.headers["Retry-After"] == "1"
        async with opened(other) as another:
            assert another.status == 200
        one.close()
        async with asyncio.timeout(5):
            while True:
                async with opened(account) as again:
                    if again.status == 200:
                        break


async def test_a_key_that_ends_takes_its_streams_along(account: Account) -> None:
    made = account.client.post(
        "/api/v1/keys", json={"name": "short", "scopes": ["events:read"]}
    ).json()
    ending = sse(account.server.url, made["key"])
    async with opened(account) as lasting, ending as response:
        found = messages(response)
        await anext(found)
        account.client.delete(f"/api/v1/keys/{made['id']}")
        begun = time.monotonic()
        last = [message async for message in found][-1]
        assert last == Message("", None, "unauthenticated")
        assert time.monotonic() - begun < 3
        event = account.publish()
        assert await ids(messages(lasting), 1) == [event["id"]]


async def test_a_suspended_tenant_hears_no_more(
    account: Account, operator: httpx.Client
) -> None:
    async with opened(account) as response:
        found = messages(response)
        await anext(found)
        operator.post(f"/api/v1/tenants/{account.tenant_id}/suspend", json={})
        last = [message async for message in found][-1]
        assert last == Message("", None, "tenant_suspended")


async def test_a_client_that_does_not_read_is_cut_off_with_its_key(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is full, so nothing can be said to it any more."""
    monkeypatch.setattr(audience, "MOST", 1)
    made = account.client.post(
        "/api/v1/keys", json={"name": "short", "scopes": ["events:read"]}
    ).json()
    events = [{"type": "a.b", "data": {"x": "y" * 60_000}}] * 100
    account.client.post("/api/v1/events/batch", json={"events": events})
    session = aiohttp.ClientSession(read_bufsize=1024)
    async with (
        session,
        sse(account.server.url, made["key"], after=0, session=session) as response,
    ):
        assert response.status == 200
        account.client.delete(f"/api/v1/keys/{made['id']}")
        async with asyncio.timeout(10):
            while True:
                async with opened(account) as again:
                    if again.status == 200:
                        break


async def test_who_falls_behind_reads_on_by_itself(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING_BYTES", 2000)
    monkeypatch.setattr(following, "MOST_BYTES", 3000)
    monkeypatch.setattr(following, "SCAN", 7)
    monkeypatch.setattr(live, "READ_EVENTS", 3)
    events = [{"type": f"a.{n % 3}", "data": {"n": n}} for n in range(60)]
    async with opened(account, type=["a.0", "a.2"]) as response:
        found = messages(response)
        await anext(found)
        for start in range(0, 60, 20):
            batch = {"events": events[start : start + 20]}
            account.client.post("/api/v1/events/batch", json=batch)
        seen = await take(found, 40)
        assert [e["data"]["n"] for e in seen] == [n for n in range(60) if n % 3 != 1]


async def test_nobody_who_reads_slowly_holds_a_connection(account: Account) -> None:
    """Ten of them, where the pool has three."""
    events = [{"type": "a.b", "data": {"x": "y" * 60_000}}] * 100
    account.client.post("/api/v1/events/batch", json={"events": events})
    session = aiohttp.ClientSession(read_bufsize=1024)
    async with session, asyncio.TaskGroup() as group:
        done = asyncio.Event()

        async def listen() -> None:
            async with sse(
                account.server.url, account.key, after=0, session=session
            ) as response:
                assert response.status == 200
                await done.wait()

        tasks = [group.create_task(listen()) for _ in range(10)]
        for _ in range(20):
            response = await asyncio.to_thread(account.client.get, "/api/v1/streams")
            assert response.status_code == 200
        done.set()
        await asyncio.gather(*tasks)


async def test_lost_connections_lose_nothing(account: Account) -> None:
    async with opened(account, after=0) as response:
        found = messages(response)
        first = account.publish()
        assert await ids(found, 1) == [first["id"]]
        with account.server.admin() as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name in ('daybook listener', 'daybook api')"
                " and datname = current_database()"
            )
        made = [account.publish() for _ in range(5)]
        assert await ids(found, 5) == [event["id"] for event in made]


async def test_streams_end_properly_with_the_server(server: Server) -> None:
    settings = ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
        limit_default=1_000_000,
        limit_auth=1_000_000,
    )

    async def read(response: aiohttp.ClientResponse) -> list[Message]:
        return [message async for message in messages(response)]

    with running(settings) as url:
        with httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {OPERATOR_KEY}"},
            trust_env=False,
        ) as operator:
            short = Server(url, server.database_url)
            account = open_account(short, operator)
        begun = asyncio.get_running_loop().time()
        stream = opened(account)
        response = await stream.__aenter__()
        reading = asyncio.create_task(read(response))
    # The server has ended; an end in the middle would be an error here.
    assert (await reading)[-1] == Message("", None, "stopping")
    assert asyncio.get_running_loop().time() - begun < 5
    await stream.__aexit__(None, None, None)
    account.close()
