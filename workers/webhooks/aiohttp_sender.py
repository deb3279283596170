"""The sender in use: aiohttp, more than ten times the throughput of httpx.

Of aiohttp the connector and the parser are used: names, judged sockets, TLS, the pool, the
answer. Its session is not: it makes a request, a writer and a response object each time,
with cookies, redirects and proxies that are all off here, for three times the CPU. What is
left of a request is one line a header.

The guard stands twice. aiohttp asks the resolver for names only and connects to a
literal address without it; `socket_factory` sees every address a socket is made for.
"""

import asyncio
import functools
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from domain.webhooks.address import HTTPS_PORTS
from workers.webhooks import egress_proxy
from workers.webhooks.egress import Guard, Resolver, client_tls, system_resolver
from workers.webhooks.egress_proxy import EgressProxy
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
        proxy: EgressProxy | None = None,
    ) -> None:
        self._guard = Guard(
            development=development, networks=networks, resolver=resolver, ports=ports
        )
        tls = tls or client_tls()
        self._connector = _connector(self._guard, proxy, tls, connections)
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
    guard: Guard, proxy: EgressProxy | None, tls: ssl.SSLContext, connections: int
) -> aiohttp.TCPConnector:
    def judged_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        guard.admit(str(address[0]))
        return socket.socket(family, kind, protocol)

    return _Connector(
        guard,
        proxy,
        ssl=tls,
        resolver=_JudgedNames(guard),
        socket_factory=judged_socket,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        limit=connections,
        keepalive_timeout=KEEPALIVE_SECONDS,
    )


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connections, through the egress proxy where there is one.

    What is overridden is aiohttp's own, and private: tests/conformance fails if it moves.
    """

    def __init__(self, guard: Guard, proxy: EgressProxy | None, **options: Any) -> None:
        super().__init__(**options)
        made: Any = functools.partial(_Answers, loop=self._loop)
        self._factory = made
        self._guard = guard
        self._proxy = proxy

    async def _wrap_create_connection(self, *args: Any, **options: Any) -> Any:
        if self._proxy is None:
            return await super()._wrap_create_connection(*args, **options)
        infos, request = options.pop("addr_infos"), options.pop("req")
        for ours in ("timeout", "client_error"):  # the deadline is one, and ours
            options.pop(ours, None)
        try:
            reached = await self._through(self._proxy, infos)
            return await self._loop.create_connection(*args, **options, sock=reached)
        except OSError as problem:
            key = request.connection_key
            raise aiohttp.ClientConnectorError(key, problem) from problem

    async def _through(
        self, proxy: EgressProxy, infos: Sequence[aiohttp.AddrInfoType]
    ) -> socket.socket:
        """To the first of the addresses that it reaches."""
        problem = OSError("no address")
        for *_, (ip, port, *_) in infos:
            self._guard.admit(str(ip))
            try:
                return await egress_proxy.connect(proxy, str(ip), int(port))
            except OSError as refused:
                problem = refused
        raise problem


class _Answers(ResponseHandler):
    """A whole answer counts, whatever stands behind it; and half a one is over at once.

    Of bytes that come together aiohttp's parser gives all or nothing. A body behind a 204,
    or one that is longer than its length says, is common enough. So heads are parsed first:
    what does not belong to the answer is a fault of the connection, which is closed for it.
    Of a fault within its body whoever reads the body is told, and not only who reads heads.
    """

    def data_received(self, data: bytes) -> None:
        head, end, rest = data.partition(b"\r\n\r\n")
        if rest:
            super().data_received(head + end)
            super().data_received(rest)
        else:
            super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(exc)


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
