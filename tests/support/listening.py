"""Clients of the live streams, as browsers are: they read, are cut off, and come back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

LAST = "Last-Event-ID"


class Message(NamedTuple):
    """A block of an event stream: its id, and its data unless it is a ping."""

    id: str
    data: str | None
    comment: str | None = None

    @property
    def event(self) -> dict[str, Any]:
        """The event it carries."""
        assert self.data is not None, self
        event: dict[str, Any] = json.loads(self.data)
        return event


async def messages(response: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    """An event stream's blocks, read as HTML's section 9.2.6 has it."""
    fields: dict[str, list[str]] = {}
    async for raw in response.content:
        line = raw.decode().removesuffix("\n")
        if line:
            name, _, value = line.partition(":")
            assert name in ("", "id", "data"), line
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        data, comment = fields.get("data"), fields.get("")
        yield Message(
            fields.get("id", [""])[-1],
            None if data is None else "\n".join(data),
            comment and comment[-1],
        )
        fields = {}


@asynccontextmanager
async def sse(
    url: str,
    key: str | None,
    *,
    last: int | str | None = None,
    session: aiohttp.ClientSession | None = None,
    **params: Any,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """A stream that is open, or the refusal."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if last is not None:
        headers[LAST] = str(last)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=30)  # two pings
    own = session or aiohttp.ClientSession(read_bufsize=2**20)
    try:
        async with own.get(
            f"{url}/api/v1/events/sse", headers=headers, params=params, timeout=timeout
        ) as response:
            yield response
    finally:
        if session is None:
            await own.close()


@asynccontextmanager
async def websocket(
    url: str,
    key: str | None,
    *,
    session: aiohttp.ClientSession | None = None,
    headers: dict[str, str] | None = None,
    **start: Any,
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket; started, unless there is no key."""
    own = session or aiohttp.ClientSession()
    try:
        async with own.ws_connect(
            f"{url}/api/v1/events/ws", headers=headers, max_msg_size=0
        ) as socket:
            if key is not None:
                await socket.send_json({"op": "start", "token": key} | start)
            yield socket
    finally:
        if session is None:
            await own.close()
