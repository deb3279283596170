"""The guard both senders pass through: which URLs, names and addresses may be reached.

A name is resolved here, every address it has is judged, and the client connects to one
of those addresses itself; nothing resolves the name a second time. So an answer that
changes between the look and the connect (DNS rebinding) changes nothing.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache

from domain.webhooks.address import HTTPS_PORTS, check_url, is_within, judge

# From a name and a port to its addresses, as text; OSError when there are none.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class Blocked(OSError):
    """The guard refused; the message may be shown to the tenant."""


class Unresolved(OSError):
    """The name has no address; the message may be shown to the tenant."""


async def system_resolver(host: str, port: int) -> list[str]:
    """The operating system's answer, in its order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def client_tls() -> ssl.SSLContext:
    """Certificates and names are checked against the system's authorities.

    A name stands among a certificate's names or nowhere: RFC 9525, section 2. OpenSSL still
    reads the subject where there are none.
    """
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    return context


class Guard:
    """The policy of one sender; `development` adds http and loopback, nothing else.

    `networks` takes away whatever lies in none of these blocks.
    """

    def __init__(
        self,
        *,
        development: bool,
        networks: Sequence[str] | None = None,
        resolver: Resolver = system_resolver,
        ports: frozenset[int] = HTTPS_PORTS,
    ) -> None:
        self._development = development
        self._networks = networks
        self._resolver = resolver
        self._ports = ports

    def check(self, url: str) -> None:
        """Raise Blocked unless the URL's form is allowed.

        It was checked when the webhook was written, but perhaps with other settings.
        """
        refusal = _refusal(url, self._development, self._ports)
        if refusal is not None:
            raise Blocked(refusal)

    def admit(self, ip: str) -> None:
        """Raise Blocked unless a connection may be made to this very address."""
        if judge(ip, development=self._development) is not None:
            # Which address it was is nobody's business: it may be one of ours.
            raise Blocked("the host does not lead to a public address")
        if self._networks is not None and not is_within(ip, self._networks):
            raise Blocked("the host does not lead into the webhook's networks")

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Where `host` leads. One address that may not be reached refuses them all."""
        found = [host] if _is_literal(host) else await self._resolve(host, port)
        for ip in found:
            self.admit(ip)
        return found

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        try:
            found = await self._resolver(host, port)
        except (OSError, UnicodeError) as problem:
            raise Unresolved("the host's name could not be resolved") from problem
        if not found:
            raise Unresolved("the host's name has no address")
        return found


# A webhook's URL is the same for all its requests, and judging it costs 20 us.
@lru_cache(maxsize=4096)
def _refusal(url: str, development: bool, ports: frozenset[int]) -> str | None:
    return check_url(url, development=development, ports=ports)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
