"""An egress proxy: a second wall, outside the process, that deliveries go through.

The guard stays the first one: names are resolved and judged here, and the proxy is asked
(`CONNECT`, RFC 9110 section 9.3.6) for exactly the judged address, never for a name that it
would resolve once more. TLS is spoken with the receiver, through it.
"""

import asyncio
import base64
import re
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import unquote

from workers.settings import EGRESS_PROXY
from workers.webhooks.egress import Blocked

HEAD_CAP = 8192
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")

Read = Callable[[], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


class EgressProxy(NamedTuple):
    """Where the proxy listens, and how it knows us: the value of `Proxy-Authorization`."""

    host: str
    port: int
    authorization: str | None = None


def parse(url: str) -> EgressProxy:
    """`http://host:port`, perhaps with `user:password@`. Raises ValueError for others."""
    parts = re.fullmatch(EGRESS_PROXY, url)
    if parts is None:
        raise ValueError("not of the form http://host:port")
    authorization = None
    if parts["user"] is not None:
        told = f"{unquote(parts['user'])}:{unquote(parts['password'])}"
        authorization = f"Basic {base64.b64encode(told.encode()).decode()}"
    return EgressProxy(parts["host"].strip("[]"), int(parts["port"]), authorization)


async def connect(proxy: EgressProxy, ip: str, port: int) -> socket.socket:
    """A socket that leads through the proxy to an address. Raises Blocked, OSError."""
    loop = asyncio.get_running_loop()
    problem = OSError("the proxy's name has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        proxy.host, proxy.port, type=socket.SOCK_STREAM
    ):
        reached = socket.socket(family, kind, protocol)
        reached.setblocking(False)
        try:
            await loop.sock_connect(reached, address)
        except OSError as refused:
            reached.close()
            problem = refused
            continue
        except BaseException:
            reached.close()
            raise
        return await _through(reached, proxy, ip, port)
    raise problem


async def _through(
    reached: socket.socket, proxy: EgressProxy, ip: str, port: int
) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        await ask(
            proxy,
            (ip, port),
            read=lambda: loop.sock_recv(reached, HEAD_CAP),
            write=lambda message: loop.sock_sendall(reached, message),
        )
    except BaseException:
        reached.close()
        raise
    return reached


async def ask(
    proxy: EgressProxy, to: tuple[str, int], *, read: Read, write: Write
) -> None:
    """Have the proxy connect to an address, over a connection to it.

    Raises Blocked when it forbids that, OSError when it cannot.
    """
    await write(_question(proxy, *to))
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await read()
        head += piece
        if not piece or len(head) > HEAD_CAP:
            raise OSError("the proxy did not answer")
    status = _STATUS.match(head)
    if status is not None and status[1] == b"403":
        raise Blocked("the egress proxy does not allow this address")
    # Whoever is behind it waits for us to begin: more than a head is none of theirs.
    if status is None or status[1][:1] != b"2" or head.partition(b"\r\n\r\n")[2]:
        raise OSError("the proxy could not connect")


def _question(proxy: EgressProxy, ip: str, port: int) -> bytes:
    place = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "\r\n".join([*lines, "", ""]).encode()
