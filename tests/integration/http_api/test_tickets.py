"""Tickets: one stream each, for thirty seconds, in place of a key."""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from domain import ids
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_websocket import refusal, take
from tests.support.listening import Message, messages, sse, websocket

PATH = "/api/v1/tickets"


def ask(client: httpx.Client, **headers: str) -> dict[str, Any]:
    """A ticket, as it is answered."""
    response = client.post(PATH, headers=headers)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def ticket(account: Account) -> str:
    found: str = ask(account.client)["ticket"]
    return found


async def status(account: Account, sent: str, key: str | None = None) -> int:
    """What a stream with this ticket is answered."""
    async with sse(account.server.url, key, ticket=sent) as response:
        return response.status


def test_what_it_looks_like(account: Account) -> None:
    found = ask(account.client)
    assert found.keys() == {"ticket", "expires_at"}
    assert found["ticket"].startswith("dbt_") and len(found["ticket"]) == 56
    life = datetime.fromisoformat(found["expires_at"]) - datetime.now(UTC)
    assert 25 < life.total_seconds() <= 30


async def test_it_opens_one_stream(account: Account, other: Account) -> None:
    other.publish()
    event = account.publish()
    sent = ticket(account)
    async with sse(account.server.url, None, ticket=sent, after=0) as response:
        found = messages(response)
        assert (await anext(found)).data is None
        assert (await anext(found)).event["id"] == event["id"]
        assert await status(account, sent) == 401
    assert await status(account, sent) == 401


async def test_it_opens_one_websocket(account: Account) -> None:
    event, sent = account.publish(), ticket(account)
    async with websocket(account.server.url, sent, after=0) as socket:
        assert (await socket.receive_json(timeout=10))["op"] == "ready"
        assert [e["id"] for e in await take(socket, 1)] == [event["id"]]
    async with websocket(account.server.url, sent) as socket:
        assert await refusal(socket) == (401, "unauthenticated")
    assert await status(account, sent) == 401


async def test_of_many_that_come_with_it_one_is_let_in(account: Account) -> None:
    sent = ticket(account)
    found = await asyncio.gather(*(status(account, sent) for _ in range(20)))
    assert sorted(found) == [200] + [401] * 19


async def test_its_time_passes(account: Account) -> None:
    sent, unused = ticket(account), ticket(account)
    with account.server.admin() as admin:
        admin.execute(
            "update tickets set expires_at = now() where digest = any(%s)",
            [[hashlib.sha256(one.encode()).digest() for one in (sent, unused)]],
        )
    assert await status(account, sent) == 401
    ask(account.client)
    with account.server.admin() as admin:
        [(left,)] = admin.execute(
            "select count(*) from tickets where tenant_id = %s",
            [ids.decode("ten", account.tenant_id)],
        ).fetchall()
        assert left == 1  # the other one is cleared away


def test_it_is_kept_as_a_hash(account: Account) -> None:
    sent = ticket(account)
    with account.server.admin() as admin:
        rows = admin.execute("select t::text from tickets t").fetchall()
    assert rows and not any(sent in text for (text,) in rows)


@pytest.mark.parametrize(
    "sent", ["", "x", "dbt_", "dbt_" + "0" * 52, "dbt_" + "é" * 52]
)
async def test_what_is_no_ticket(account: Account, sent: str) -> None:
    assert await status(account, sent) == 401


async def test_a_key_needs_no_ticket(account: Account) -> None:
    assert await status(account, ticket(account), account.key) == 422


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/me", PATH])
def test_it_opens_nothing_else(
    account: Account, stranger: httpx.Client, path: str
) -> None:
    assert stranger.get(path, params={"ticket": ticket(account)}).status_code in (
        401,
        405,
    )
    assert account.client.get(f"{path}?ticket=x").status_code in (405, 422)


async def test_it_ends_with_its_key(account: Account) -> None:
    made = account.client.post(
        "/api/v1/keys", json={"name": "short", "scopes": ["events:read"]}
    ).json()
    with account.server.client(made["key"]) as client:
        first, second = ask(client)["ticket"], ask(client)["ticket"]
    async with sse(account.server.url, None, ticket=first) as response:
        found = messages(response)
        await anext(found)
        account.client.delete(f"/api/v1/keys/{made['id']}")
        last = [message async for message in found][-1]
        assert last == Message("", None, "unauthenticated")
    assert await status(account, second) == 401


def test_it_takes_who_may_read(account: Account) -> None:
    response = account.with_scopes("events:write").post(PATH)
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


def test_a_repeat_does_not_show_it_again(account: Account) -> None:
    first = ask(account.client, **{"Idempotency-Key": "once"})
    again = ask(account.client, **{"Idempotency-Key": "once"})
    assert again == first | {"ticket": None}


async def test_a_platform_keys_is_for_the_tenant_it_named(
    account: Account, operator: httpx.Client
) -> None:
    body = {"name": "platform", "scopes": ["tenants:act", "events:read"]}
    key = operator.post("/api/v1/keys", json=body).json()["key"]
    event = account.publish()
    with account.server.client(key) as client:
        sent = ask(client, **{"Daybook-Tenant": account.tenant_id})["ticket"]
    async with sse(account.server.url, None, ticket=sent, after=0) as response:
        found = messages(response)
        await anext(found)
        assert (await anext(found)).event["id"] == event["id"]
