"""A receiver that speaks in raw bytes, so that it can misbehave; what to send it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from workers.webhooks.sender import Answer, Outgoing, Sender

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]

HEADERS = {"Content-Type": "application/json", "webhook-id": "evt_1"}
OK = b"HTTP/1.1 200 OK\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class RawReceiver:
    """What arrived: one entry a whole request, and how many connections were made."""

    script: Script
    port: int = 0
    hits: list[bytes] = field(default_factory=list)
    connections: int = 0
    # Set when the other side has closed a connection.
    left: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1") -> str:
        """Its URL under any name."""
        return f"http://{host}:{self.port}{path}"

    def head(self, number: int = -1) -> dict[str, str]:
        """The headers of one request, names in lower case."""
        lines = self.hits[number].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        pairs = (line.split(": ", 1) for line in lines)
        return {name.lower(): value for name, value in pairs}

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection: requests are read whole, then the script answers."""
        self.connections += 1
        self._tasks.add(task := asyncio.ensure_future(self._converse(reader, writer)))
        try:
            await task
        except (OSError, EOFError, asyncio.CancelledError):
            self.left.set()
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    def abandon(self) -> None:
        """Drop what still hangs."""
        for task in self._tasks:
            task.cancel()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            self.hits.append(head + await reader.readexactly(int(length)))
            await self.script(writer)
            await writer.drain()


@asynccontextmanager
async def serving(
    script: Script,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawReceiver]:
    """A RawReceiver while the context lasts."""
    receiver = RawReceiver(script)
    server = await asyncio.start_server(
        receiver.serve, host, port, ssl=tls, backlog=1024
    )
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        receiver.abandon()
        await server.wait_closed()


def reply(raw: bytes) -> Script:
    """Always these bytes."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return script


def reply_and_close(raw: bytes) -> Script:
    """These bytes, then the end of the connection."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()

    return script


def repeat(first: bytes, piece: bytes, pause: float = 0.0) -> Script:
    """`first`, then `piece` for ever."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return script


async def hang(writer: asyncio.StreamWriter) -> None:
    """Never a byte."""
    await asyncio.sleep(3600)


def outgoing(
    url: str,
    *,
    headers: Mapping[str, str] = HEADERS,
    body: bytes = b'{"a":1}',
    timeout: float = 5.0,
) -> Outgoing:
    """A request that differs from others in what is named."""
    return Outgoing(url, headers, body, timeout)


async def answer_to(sender: Sender, raw: bytes, timeout: float = 5.0) -> Answer:
    """What the sender makes of these bytes, after which the receiver hangs up."""
    async with serving(reply_and_close(raw)) as receiver:
        return await sender.send(outgoing(receiver.url(), timeout=timeout))
