"""aiohttp's connections, as deliveries need them: judged, perhaps through a proxy.

The guard stands twice. aiohttp asks the resolver for names only and connects to a
literal address without it; `socket_factory` sees every address a socket is made for.

What is overridden here is aiohttp's own, some of it private. Its version is bounded, and
tests/conformance fails when something has moved.
"""

import functools
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from workers.webhooks import egress_proxy
from workers.webhooks.egress import Guard
from workers.webhooks.egress_proxy import EgressProxy
from workers.webhooks.sender import KEEPALIVE_SECONDS

# A host's addresses, once judged, serve for this long.
DNS_CACHE_SECONDS = 10


def connector(
    guard: Guard, proxy: EgressProxy | None, tls: ssl.SSLContext, connections: int
) -> aiohttp.TCPConnector:
    """The pool of one sender: at most so many connections at once."""

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
    """Through the egress proxy, where there is one."""

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
