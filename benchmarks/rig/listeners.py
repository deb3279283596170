"""Listeners that cost next to nothing: they count the events that go by, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_DATA = b"\ndata: "


class Listener(asyncio.Protocol):
    """One connection to an event stream."""

    def __init__(self, message: bytes, wanted: int) -> None:
        self._message, self._wanted = message, wanted
        self._rest = b""  # the beginning of a mark, perhaps
        self._count = 0
        loop = asyncio.get_running_loop()
        self.open: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        self.transport = transport
        transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        """Count."""
        if not self.open.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self.open.set_exception(RuntimeError(data[:500].decode("latin-1")))
                return
            self.open.set_result(None)
        self._count += (self._rest + data).count(_DATA)
        self._rest = data[-len(_DATA) + 1 :]
        if self._count >= self._wanted and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """It must not end before it has seen everything."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the stream has ended"))


@asynccontextmanager
async def listening(
    port: int, path: str, key: str, count: int, wanted: int
) -> AsyncIterator[list[Listener]]:
    """So many of them, all open, each until it has seen so many events."""
    loop = asyncio.get_running_loop()
    message = (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n"
    ).encode()
    pairs = [
        await loop.create_connection(
            lambda: Listener(message, wanted), "127.0.0.1", port
        )
        for _ in range(count)
    ]
    listeners = [listener for _, listener in pairs]
    try:
        await asyncio.gather(*(listener.open for listener in listeners))
        yield listeners
    finally:
        for listener in listeners:
            listener.done.cancel()
            listener.transport.close()
