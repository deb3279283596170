"""The sender in use: aiohttp, more than ten times the throughput of httpx.

Of aiohttp the connector and the parser are used: names, judged sockets, TLS, the pool, the
answer. Its session is not: it makes a request, a writer and a response object each time,
with cookies, redirects and proxies that are all off here, for three times the CPU. What is
left of a request is one line a header.

The guard stands twice. aiohttp asks the resolver for names only and connects to a
literal address without it; `socket_factory` sees every address a socket is made for.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from domain.webhooks.address import HTTPS_PORTS
from workers.webhooks.egress import Guard, Resolver, client_tls, system_resolver
from workers.webhooks.exchange import Exchange, Raised, conduct
from workers.webhooks.sender import (
    CONNECTIONS,
    KEEPALIVE_SECONDS,
    STANDING_HEADERS,
    Answer,
    Outgoing,
)

# A host's addresses, once judged, serve for this long.
DNS_CACHE_SECONDS = 10

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
    ) -> None:
        self._guard = Guard(
            development=development, networks=networks, resolver=resolver, ports=ports
        )
        self._connector = _connector(self._guard, tls or client_tls(), connections)
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
    lines = "".join([f"{name}: {text}\r\n" for name, text in request.headers.items()])
    if lines.count("\n") != len(request.headers) or _STRAY.search(lines):
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


def _connector(
    guard: Guard, tls: ssl.SSLContext, connections: int
) -> aiohttp.TCPConnector:
    def judged_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        guard.admit(str(address[0]))
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        ssl=tls,
        resolver=_JudgedNames(guard),
        socket_factory=judged_socket,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        limit=connections,
        keepalive_timeout=KEEPALIVE_SECONDS,
    )


class _JudgedNames(AbstractResolver):
    """aiohttp's way to ask the guard."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=ip,
                port=port,
                family=socket.AF_INET6 if ":" in ip else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for ip in await self._guard.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""
