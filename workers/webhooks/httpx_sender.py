"""The second sender, on httpx: slower, and the proof that nothing depends on aiohttp.

The guard is the network backend of httpcore, which makes every connection, to names and
to literal addresses alike. The transport is called without a client around it: no
redirects, cookies, unpacking or environment to switch off.
"""

import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore
import httpx

from domain.webhooks.address import HTTPS_PORTS
from workers.webhooks import egress_proxy
from workers.webhooks.egress import (
    Blocked,
    Guard,
    Resolver,
    client_tls,
    system_resolver,
)
from workers.webhooks.egress_proxy import EgressProxy
from workers.webhooks.exchange import Exchange, Raised, conduct
from workers.webhooks.sender import (
    CONNECTIONS,
    KEEPALIVE_SECONDS,
    STANDING_HEADERS,
    Answer,
    Outgoing,
)

_RAISED = Raised(
    unwritable=(ValueError, httpx.InvalidURL, httpx.LocalProtocolError),
    unconnected=(httpx.ConnectError,),
    broken=(httpx.TransportError, OSError),
)


class HttpxSender:
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
        self._transport = _transport(
            JudgedConnections(self._guard, proxy), tls or client_tls(), connections
        )

    async def send(self, request: Outgoing) -> Answer:
        """Send it once; whatever happens is an Answer, never an exception."""
        return await conduct(request, self._guard, self._talk, _RAISED)

    async def close(self) -> None:
        """Close the idle connections; requests still in flight fail."""
        await self._transport.aclose()

    async def _talk(self, request: Outgoing, exchange: Exchange) -> None:
        response = await self._transport.handle_async_request(
            httpx.Request(
                "POST",
                request.url,
                headers=_headers(request),
                content=request.body,
            )
        )
        try:
            exchange.head(response.status_code, response.headers.raw)
            async for piece in response.aiter_raw():
                if not exchange.take(piece):
                    return
        finally:
            await response.aclose()


class JudgedConnections(httpcore.AsyncNetworkBackend):
    """httpcore's way to ask the guard: connects to a judged address, never a name."""

    def __init__(self, guard: Guard, proxy: EgressProxy | None) -> None:
        self._guard = guard
        self._proxy = proxy
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        problem = httpcore.ConnectError()
        for ip in await self._guard.addresses(host, port):
            try:
                return await self._connect(ip, port, timeout)
            except httpcore.ConnectError as refused:
                problem = refused
        raise problem

    async def _connect(self, ip: str, port: int, timeout: float | None) -> "_Stream":
        if self._proxy is None:
            return _Stream(await self._inner.connect_tcp(ip, port, timeout))
        host = self._proxy.host
        stream = _Stream(await self._inner.connect_tcp(host, self._proxy.port, timeout))
        try:
            await egress_proxy.ask(
                self._proxy,
                (ip, port),
                read=lambda: stream.read(egress_proxy.HEAD_CAP),
                write=stream.write,
            )
        except Blocked:
            await stream.aclose()
            raise
        except OSError as refused:
            await stream.aclose()
            raise httpcore.ConnectError from refused
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("sockets of this machine are never a receiver")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that is closed when its handshake is cut off, too: httpcore does so
    after errors only, and our deadline cancels."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._inner.aclose()
            raise


def _transport(
    backend: JudgedConnections, tls: ssl.SSLContext, connections: int
) -> httpx.AsyncHTTPTransport:
    transport = httpx.AsyncHTTPTransport(
        verify=tls,
        trust_env=False,
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
        ),
    )
    # httpx 0.28 has no public place for a backend; a test asserts that this one is it.
    transport._pool._network_backend = backend  # noqa: SLF001
    return transport


def _headers(request: Outgoing) -> list[tuple[bytes, bytes]]:
    # Encoded here, as httpx takes text in ASCII only where aiohttp writes UTF-8.
    sent = STANDING_HEADERS | {k.lower(): v for k, v in request.headers.items()}
    return [(name.encode(), value.encode()) for name, value in sent.items()]
