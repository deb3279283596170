"""A bare event stream on the API's server: the same bytes for everybody, when told to.

What live streams are measured against: no log, no places, no filters; each client is
written the given chunk as often as is asked. `GET` listens, `POST` with the chunk as its
body and `?times=` begins. `python -m benchmarks.rig.bare_stream PORT`.
"""

import asyncio
import sys
from typing import Any
from urllib.parse import parse_qs

import uvloop

from workers import serve

_HEADERS = [(b"content-type", b"text/event-stream")]


class Broadcast:
    """Who listens, and what they are sent."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._chunk, self._times = b"", 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The application."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "POST":
            await self._begin(scope, receive)
        else:
            await self._listen(send)
        await send({"type": "http.response.body", "body": b""})

    async def _begin(self, scope: Any, receive: Any) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        self._chunk = body
        self._times = int(parse_qs(scope["query_string"])[b"times"][0])
        self._begun.set()
        self._begun = asyncio.Event()

    async def _listen(self, send: Any) -> None:
        await self._begun.wait()
        more = {"type": "http.response.body", "body": self._chunk, "more_body": True}
        for _ in range(self._times):
            await send(more)


async def _lifespan(receive: Any, send: Any) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def create() -> Broadcast:
    """The application, for `benchmarks.rig.bare_stream:create`."""
    return Broadcast()


async def main(port: int) -> None:
    """Serve until told to stop."""
    serve.APPLICATION = "benchmarks.rig.bare_stream:create"
    await serve.server().serve(sockets=[serve.listen("127.0.0.1", port)])


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
