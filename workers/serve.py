"""The HTTP process: uvicorn, given the API by name, so nothing here imports it."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn

APPLICATION = "api.app:create"
BACKLOG = 1024
# A proxy in front should give up before this, so that it never reuses a closed connection.
KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 10


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
        try:
            sock.bind((host, candidate))
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
        else:
            return sock
    raise PortsTaken(f"port {port} is taken: choose another with --port")


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def server() -> Server:
    """The API's server; it finishes requests when told to stop."""
    return Server(
        uvicorn.Config(
            APPLICATION,
            factory=True,
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
