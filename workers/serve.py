"""The HTTP process: uvicorn, given the API by name, so nothing here imports it."""

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Iterator

import uvicorn

from workers import garbage
from workers.protocol import BoundedProtocol

APPLICATION = "api.app:create"
BACKLOG = 1024
# A proxy in front should give up before this, so that it never reuses a closed connection.
KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 10
WEBSOCKETS = "websockets-sansio"  # the server's other one is deprecated
FIRST_MESSAGE_BYTES = 64 * 1024  # of a WebSocket; clients send no other
# A client that takes nothing for so long, or whose host is lost, is cut off by the kernel;
# one that reads slowly is not.
UNREAD_SECONDS = 60
FILES = 65_536  # a listener is an open file; many systems give 1,024 unless asked


class PortsTaken(OSError):
    """None of the ports tried is free."""


def listen(host: str, port: int, *, others: int = 0) -> socket.socket:
    """A listening socket on `port`, else on one of the next `others`; 0 is any port.

    Raises PortsTaken. The socket is bound here and handed on, so that the port cannot be
    lost between finding it and using it.
    """
    for candidate in range(port, port + others + 1):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bound_unread(sock)
        try:
            sock.bind((host, candidate))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE:
                raise PortsTaken(
                    f"{host} port {candidate} cannot be listened on: {error.strerror}"
                ) from error
        else:
            return sock
    raise PortsTaken(f"port {port} is taken: choose another with --port")


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process decides when to stop.

    It says beforehand that it will, in the state that every request carries: streams would
    not end by themselves, and it waits for all requests.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        self._stopping = asyncio.Event()
        self.lifespan.state["stopping"] = self._stopping
        await super().startup(sockets)
        garbage.spare()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, have streams end, wait for what has begun."""
        self._stopping.set()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def server(trusted_proxies: str | None = None) -> Server:
    """The API's server; it finishes requests when told to stop.

    Who a request comes from, and by https or not, is what the proxies say that are trusted:
    addresses and networks with commas between them.
    """
    _allow_files()
    return Server(
        uvicorn.Config(
            APPLICATION,
            factory=True,
            loop="uvloop",
            http=BoundedProtocol,
            proxy_headers=trusted_proxies is not None,
            forwarded_allow_ips=trusted_proxies or "",
            ws=WEBSOCKETS,
            ws_max_size=FIRST_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # a megabyte a listener, and most of its time
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )


def _bound_unread(sock: socket.socket) -> None:
    """Connections inherit it. Nothing where the kernel does not know it."""
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):
        sock.setsockopt(socket.IPPROTO_TCP, option, UNREAD_SECONDS * 1000)


def _allow_files() -> None:
    """As many open files as the system lets us have, up to FILES."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
