"""A way to the database that a test can break: a TCP proxy in threads of its own."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict


class Network:
    """Passes bytes between clients and the database of `url`; its own is `self.url`."""

    def __init__(self, url: str) -> None:
        target = conninfo_to_dict(url)
        self._host, self._port = str(target["host"]), int(target.get("port") or 5432)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._is_deaf = False
        self._is_open = True
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(
            netloc=f"{login}@127.0.0.1:{self._door.getsockname()[1]}", query=""
        ).geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shut()
        # Wakes `accept`, which closing alone does not.
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def lose_answers(self) -> None:
        """From now on clients reach the server, but hear nothing from it."""
        self._is_deaf = True

    def cut(self) -> None:
        """End every connection; new ones work."""
        self._is_deaf = False
        pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def shut(self) -> None:
        """End every connection; new ones end at once too, until `reopen`."""
        self._is_open = False
        self.cut()

    def reopen(self) -> None:
        """The database can be reached again."""
        self._is_open = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                if not self._is_open:
                    client.close()
                    continue
                server = self._connect()
                self._pairs.append((client, server))
                for pump in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return server
        return socket.create_connection((self._host, self._port))

    def _pump(self, source: socket.socket, target: socket.socket, answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not (answer and self._is_deaf):
                    target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        # Each end is closed by the pump that read from it.
        source.close()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
