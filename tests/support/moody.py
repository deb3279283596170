"""A receiver of many moods: it answers, hangs, drops, lies, and remembers what arrived."""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

Mood = Callable[["Conversation"], Awaitable[None]]


class Arrival(NamedTuple):
    """A request that came in whole."""

    webhook: str  # the number in its path
    message_id: str
    delivery: str
    attempt: int
    position: int
    is_replay: bool
    body_sha256: str


@dataclass
class Conversation:
    """One connection, after a request was read."""

    writer: asyncio.StreamWriter
    chance: random.Random

    async def say(self, status: str, *headers: str) -> None:
        """A whole answer without a body."""
        lines = [f"HTTP/1.1 {status}", "Content-Length: 0", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode())
        await self.writer.drain()


async def calm(talk: Conversation) -> None:
    """It takes everything."""
    await talk.say("204 No Content")


async def ill(talk: Conversation) -> None:
    """It answers, and often not with what one would like."""
    if talk.chance.random() < 0.5:
        return await talk.say("200 OK")
    status = talk.chance.choice(
        ["500 Internal Server Error", "503 Service Unavailable", "404 Not Found"]
    )
    return await talk.say(status)


async def busy(talk: Conversation) -> None:
    """It asks for time."""
    if talk.chance.random() < 0.7:
        return await talk.say("202 Accepted")
    status = talk.chance.choice(["429 Too Many Requests", "502 Bad Gateway"])
    return await talk.say(status, "Retry-After: 1")


async def elsewhere(talk: Conversation) -> None:
    """It has moved, now and then."""
    if talk.chance.random() < 0.6:
        return await talk.say("200 OK")
    return await talk.say("302 Found", "Location: http://127.0.0.1:1/")


async def hanging(talk: Conversation) -> None:
    """It thinks for longer than anybody waits, now and then."""
    if talk.chance.random() < 0.2:
        await asyncio.sleep(3)
    await talk.say("200 OK")


async def dropping(talk: Conversation) -> None:
    """It hangs up, before an answer or in the middle of one."""
    fate = talk.chance.random()
    if fate < 0.2:
        raise ConnectionError
    if fate < 0.4:
        talk.writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        await talk.writer.drain()
        raise ConnectionError
    await talk.say("200 OK")


async def lying(talk: Conversation) -> None:
    """It says what is not so, or not HTTP."""
    fate = talk.chance.random()
    if fate < 0.15:
        talk.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    elif fate < 0.3:
        talk.writer.write(b"\x16\x03\x01 you did not expect this\r\n\r\n")
    else:
        return await talk.say("200 OK")
    await talk.writer.drain()
    raise ConnectionError


async def leaving(talk: Conversation) -> None:
    """It is gone for good, now and then."""
    gone = talk.chance.random() < 0.02
    await talk.say("410 Gone" if gone else "200 OK")


MOODS: dict[str, Mood] = {
    mood.__name__: mood
    for mood in (calm, ill, busy, elsewhere, hanging, dropping, lying, leaving)
}


@dataclass
class Moody:
    """The receiver; a webhook's URL is `/<number>/<mood>`."""

    seed: int = 1
    arrivals: list[Arrival] = field(default_factory=list)
    is_calm: bool = False
    port: int = 0
    _open: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a port of loopback."""
        self._chance = random.Random(self.seed)
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def url(self, number: int, mood: str) -> str:
        """Where a webhook with this number finds this mood."""
        return f"http://127.0.0.1:{self.port}/{number}/{mood}"

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open.add(task := asyncio.ensure_future(self._converse(reader, writer)))
        try:
            await task
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")[:-2]
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await reader.readexactly(int(headers["content-length"]))
            _, number, mood = first.split(" ")[1].split("/")
            if "daybook-test" not in headers:
                self.arrivals.append(_arrival(number, headers, body))
            talk = Conversation(writer, self._chance)
            await (calm if self.is_calm else MOODS[mood])(talk)


def _arrival(number: str, headers: dict[str, str], body: bytes) -> Arrival:
    return Arrival(
        number,
        headers["webhook-id"],
        headers["daybook-delivery"],
        int(headers["daybook-attempt"]),
        int(headers["daybook-position"]),
        "daybook-replay" in headers,
        hashlib.sha256(body).hexdigest(),
    )
