"""A receiver that costs little: HTTP/1.1 with keep-alive, by hand, a process of its own.

`POST` to any path is answered 204; to `/after/N` so after N ms. A body with a member
`"stamp":<monotonic ns>` is taken for how long it was under way. `GET` asks: `/report`,
`/latencies`, `/hold` (answer nothing from now on), `/release/N` (answer the N oldest),
`/open` (answer all, and hold no more), each also begins what it tells anew.
"""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections import defaultdict, deque
from typing import Any

import uvloop

BACKLOG = 1024
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
DELAYED = b"POST /after/"
STAMP = b'"stamp":'


class Book:
    """What arrived, and what waits for its answer."""

    def __init__(self) -> None:
        self.count = 0
        self.first_ns = 0
        self.last_ns = 0
        self.sample = b""
        self.is_holding = False
        self.open = 0
        self.most_open = 0
        self.latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._held: deque[asyncio.Transport] = deque()
        self._wanted = 0
        self._released_ns = 0
        self._refills: list[float] = []

    def arrived(self, request: bytes, transport: asyncio.Transport) -> None:
        """Note it, and answer now, later, or when told."""
        self.last_ns = now = time.monotonic_ns()
        self.count += 1
        if not self.first_ns:
            self.first_ns, self.sample = now, request
        at = request.find(STAMP)
        if at > 0:
            self._under_way(request, at, now)
        if self.is_holding:
            self._hold(transport, now)
        elif request.startswith(DELAYED):
            ms = int(request[len(DELAYED) : request.index(b" ", 6)])
            asyncio.get_running_loop().call_later(ms / 1000, answer, transport)
        else:
            transport.write(ANSWER)

    def came(self) -> None:
        """A connection, perhaps only to ask."""
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def left(self, transport: asyncio.Transport) -> None:
        """It is closed; nobody waits there any more."""
        self.open -= 1
        with contextlib.suppress(ValueError):
            self._held.remove(transport)

    def asked(self, path: str) -> Any:
        """The answer to a question."""
        _, word, *rest = path.split("/")
        return getattr(self, f"_answer_{word}")(*rest)

    def _under_way(self, request: bytes, at: int, now: int) -> None:
        path = request[5 : request.index(b" ", 5)].decode()
        begins = at + len(STAMP)
        ends = min(i for i in (request.find(b",", at), request.find(b"}", at)) if i > 0)
        sent = int(request[begins:ends])
        self.latencies[path].append((now - sent) / 1e6)

    def _hold(self, transport: asyncio.Transport, now: int) -> None:
        self._held.append(transport)
        if self._wanted:
            self._wanted -= 1
            if not self._wanted:
                self._refills.append((now - self._released_ns) / 1e6)

    def _answer_report(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "now_ns": time.monotonic_ns(),
            "cpu_seconds": time.process_time(),
            "sample": self.sample.decode("latin-1"),
            "most_open": self.most_open,
            "held": len(self._held),
            "wanted": self._wanted,
            "refills_ms": self._refills,
        }

    def _answer_reset(self) -> None:
        self.count = self.first_ns = self.last_ns = 0
        self.most_open = self.open
        self.latencies.clear()
        self._refills = []

    def _answer_latencies(self) -> dict[str, list[float]]:
        return dict(self.latencies)

    def _answer_hold(self) -> None:
        self.is_holding = True

    def _answer_release(self, number: str) -> None:
        """Let so many go, and take the time until as many have come."""
        self._wanted = int(number)
        self._released_ns = time.monotonic_ns()
        for _ in range(int(number)):
            answer(self._held.popleft())

    def _answer_open(self) -> None:
        self.is_holding, self._wanted = False, 0
        while self._held:
            answer(self._held.popleft())


def answer(transport: asyncio.Transport) -> None:
    """Later than at once: who asked may have gone."""
    if not transport.is_closing():
        transport.write(ANSWER)


class Talk(asyncio.Protocol):
    """One connection."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self._transport = transport
        self._book.came()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of it."""
        self._book.left(self._transport)

    def data_received(self, data: bytes) -> None:
        """Every whole request in it."""
        data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + body_length(data, end)
            if len(data) < whole:
                break
            self._request(data[:whole])
            data = data[whole:]
        self._rest = data

    def _request(self, request: bytes) -> None:
        if request.startswith(b"POST "):
            self._book.arrived(request, self._transport)
            return
        path = request.split(b" ", 2)[1].decode()
        told = json.dumps(self._book.asked(path)).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(told)}\r\n\r\n"
        self._transport.write(head.encode() + told)


def body_length(data: bytes, end: int) -> int:
    """The Content-Length of the head that ends at `end`, in either spelling."""
    at = data.find(b"Content-Length: ", 0, end)
    if at < 0:
        at = data.lower().find(b"content-length: ", 0, end)
    return int(data[at + 16 : data.index(b"\r\n", at)]) if at >= 0 else 0


async def receive() -> None:
    """Listen on a free port, print it, and serve until killed."""
    book = Book()
    sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    server = await asyncio.get_running_loop().create_server(
        lambda: Talk(book), sock=sock, backlog=BACKLOG
    )
    print(sock.getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)  # whoever started us has gone


if __name__ == "__main__":
    uvloop.run(receive())
