"""An HTTP client that costs next to nothing: one request over and over on each connection.

It shares the machine with what it measures, so it does no more than look for the end of an
answer whose length it knows from its head.
"""

import asyncio
import re
import time
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


def request(path: str, body: bytes, key: str = "none") -> bytes:
    """A whole request, as bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(port: int, message: bytes, callers: int, seconds: float) -> "Result":
    """Send it from so many connections for so long."""
    loop = asyncio.get_running_loop()
    result = Result(time.monotonic() + seconds)
    pairs = [
        await loop.create_connection(
            lambda: _Caller(message, result), "127.0.0.1", port
        )
        for _ in range(callers)
    ]
    await asyncio.gather(*(caller.done for _, caller in pairs))
    return result


class Result:
    """How many were answered, how fast, until a moment."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.count = 0
        self.latencies: list[float] = []


class _Caller(asyncio.Protocol):
    def __init__(self, message: bytes, result: Result) -> None:
        self._message, self._result = message, result
        self._received = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._begun = time.monotonic()
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        found = _LENGTH.search(head + b"\r\n")
        if found is None or not head.startswith(b"HTTP/1.1 202"):
            self._end(RuntimeError(self._received[:1000].decode("latin-1")))
        elif len(body) >= int(found[1]):
            self._answered()

    def _answered(self) -> None:
        self._received = b""
        now = time.monotonic()
        self._result.count += 1
        self._result.latencies.append(now - self._begun)
        if now >= self._result.until:
            self._end(None)
        else:
            self._send()

    def _end(self, error: Exception | None) -> None:
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None) if error is None else self.done.set_exception(
                error
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server closed the connection"))
