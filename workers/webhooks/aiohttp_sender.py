"""The sender in use: aiohttp, more than ten times the throughput of httpx.

The guard stands twice. aiohttp asks the resolver for names only and connects to a
literal address without it; `socket_factory` sees every address a socket is made for.
"""

import socket
import ssl
from collections.abc import Sequence
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
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

# InvalidURL is both a ClientError and a ValueError: what cannot be written comes first.
_RAISED = Raised(
    unwritable=(ValueError,),
    unconnected=(aiohttp.ClientConnectorError,),
    broken=(aiohttp.ClientError, OSError),
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
        self._session = _session(self._guard, tls or client_tls(), connections)

    async def send(self, request: Outgoing) -> Answer:
        """Send it once; whatever happens is an Answer, never an exception."""
        return await conduct(request, self._guard, self._talk, _RAISED)

    async def close(self) -> None:
        """Close the idle connections; requests still in flight fail."""
        await self._session.close()

    async def _talk(self, request: Outgoing, exchange: Exchange) -> None:
        async with self._session.post(
            _as_written(request.url),
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
        ) as response:
            exchange.head(response.status, response.raw_headers)
            content = response.content
            while not content.at_eof():
                if not exchange.take(await content.readany()):
                    response.close()  # the rest is not read, nor the connection reused
                    return


def _session(
    guard: Guard, tls: ssl.SSLContext, connections: int
) -> aiohttp.ClientSession:
    def judged_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        guard.admit(str(address[0]))
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        ssl=tls,
        resolver=_JudgedNames(guard),
        socket_factory=judged_socket,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        limit=connections,
        keepalive_timeout=KEEPALIVE_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=STANDING_HEADERS,
        skip_auto_headers=("User-Agent", "Content-Type"),
        timeout=aiohttp.ClientTimeout(),  # none: the deadline is one, and ours
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # else HTTPS_PROXY would decide where requests go
        max_line_size=8190,
        max_field_size=8190,
        max_headers=128,
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


@lru_cache(maxsize=4096)
def _as_written(url: str) -> URL:
    # Without `encoded`, yarl rewrites escapes in path and query, and a receiver that
    # signs its own URLs no longer knows them. Other letters it must escape first.
    return URL(url, encoded=url.isascii())
