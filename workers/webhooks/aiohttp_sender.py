"""The sender in use: aiohttp, more than ten times the throughput of httpx.

Of aiohttp the connector and the parser are used: names, judged sockets, TLS, the pool, the
answer. Its session is not: it makes a request, a writer and a response object each time,
with cookies, redirects and proxies that are all off here, for three times the CPU. What is
left of a request is one line a header.

Connections are made, and judged, in `connections`.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from domain.webhooks.address import HTTPS_PORTS
from workers.webhooks.connections import connector
from workers.webhooks.egress import Guard, Resolver, client_tls, system_resolver
from workers.webhooks.egress_proxy import EgressProxy
from workers.webhooks.exchange import Exchange, Raised, conduct
from workers.webhooks.sender import (
    CONNECTIONS,
    STANDING_HEADERS,
    Answer,
    Outgoing,
)

MOST_PLACES = 4096  # URLs that are remembered
_NO_TIMEOUT = aiohttp.ClientTimeout()  # the deadline is one, and ours
_STRAY = re.compile(r"\r(?!\n)|\0")

# InvalidURL is both a ClientError and a ValueError: what cannot be written comes first.
_RAISED = Raised(
    unwritable=(ValueError,),
    unconnected=(aiohttp.ClientConnectorError,),
    broken=(aiohttp.ClientError, HttpProcessingError, OSError),
)


class AiohttpSender:
    """A Sender; construct it inside the running loop it will be used in."""

    def __init__(
        self,
        development: bool,
        *,
        networks: Sequence[str] | None = None,
        resolver: Resolver = system_resolver,
        ports: frozenset[int] = HTTPS_PORTS,
        tls: ssl.SSLContext | None = None,
        connections: int = CONNECTIONS,
        proxy: EgressProxy | None = None,
    ) -> None:
        self._guard = Guard(
            development=development, networks=networks, resolver=resolver, ports=ports
        )
        tls = tls or client_tls()
        self._connector = connector(self._guard, proxy, tls, connections)
        self._places: dict[str, _Place] = {}

    async def send(self, request: Outgoing) -> Answer:
        """Send it once; whatever happens is an Answer, never an exception."""
        return await conduct(request, self._guard, self._talk, _RAISED)

    async def close(self) -> None:
        """Close the idle connections; requests still in flight fail."""
        await self._connector.close()

    async def _talk(self, request: Outgoing, exchange: Exchange) -> None:
        place = self._place(request.url)
        message = _written(place, request)
        connection = await self._connector.connect(place.key, [], _NO_TIMEOUT)
        try:
            is_whole = await _exchanged(connection, message, exchange)
        except BaseException:
            connection.close()
            raise
        if is_whole:
            connection.release()
        else:
            connection.close()  # the rest is not read, nor the connection reused

    def _place(self, url: str) -> "_Place":
        """Where requests to a URL go. There are as many as webhooks; they cost 2 KiB."""
        place = self._places.get(url)
        if place is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            place = self._places[url] = _place(url)
        return place


class _Place(NamedTuple):
    """The connector's key to a URL's connections, and how each request begins."""

    key: aiohttp.ClientRequest
    head: str


def _place(url: str) -> _Place:
    # Without `encoded`, yarl rewrites escapes in path and query, and a receiver that
    # signs its own URLs no longer knows them. Other letters it must escape first.
    written = URL(url, encoded=url.isascii())
    if not written.raw_host:
        raise aiohttp.InvalidURL(url)
    key = aiohttp.ClientRequest("POST", written, loop=asyncio.get_running_loop())
    lines = [
        f"POST {written.raw_path_qs} HTTP/1.1",
        f"Host: {key.headers['Host']}",
        *(f"{name}: {value}" for name, value in STANDING_HEADERS.items()),
    ]
    return _Place(key, "\r\n".join([*lines, ""]))


def _written(place: _Place, request: Outgoing) -> bytes:
    """RFC 9112, section 2.1. Raises ValueError for what would begin another line."""
    headers = request.headers
    lines = "".join([f"{name}: {text}\r\n" for name, text in headers.items()])
    # What is printable begins no line, and most is: looking for strays takes longer.
    is_plain = "".join([*headers, *headers.values()]).isprintable()
    if not is_plain and (lines.count("\n") != len(headers) or _STRAY.search(lines)):
        raise ValueError("a header cannot be sent")
    head = f"{place.head}{lines}Content-Length: {len(request.body)}\r\n\r\n"
    return head.encode() + request.body


async def _exchanged(
    connection: Connection, message: bytes, exchange: Exchange
) -> bool:
    """Write the request and read the answer; whether all of it was read."""
    protocol = connection.protocol
    if protocol is None or protocol.transport is None:
        raise aiohttp.ClientConnectionError("the connection has just been closed")
    protocol.set_response_params(
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=8190,
        max_field_size=8190,
        max_headers=128,
    )
    protocol.transport.write(message)
    head, content = await protocol.read()
    while 100 <= head.code < 200 and head.code != 101:  # interim: RFC 9110, 15.2
        head, content = await protocol.read()
    if head.code < 100:
        raise aiohttp.ClientPayloadError("no status")
    exchange.head(head.code, head.raw_headers)
    while not content.at_eof():
        if not exchange.take(await content.readany()):
            return False
    return True
