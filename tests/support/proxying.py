"""An egress proxy that notes what it is asked for, and does it or does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MOST = 65536


@dataclass
class ToldProxy:
    """Connects and says 200, unless there is another `answer`; None is silence."""

    answer: bytes | None = b"HTTP/1.1 200 Connection established\r\n\r\n"
    port: int = 0
    asked: list[list[str]] = field(default_factory=list)  # the lines of each question
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def places(self) -> list[str]:
        """Where it was asked to connect to."""
        return [lines[0].split()[1] for lines in self.asked]

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._tasks.add(task := asyncio.ensure_future(self._tunnel(reader, writer)))
        try:
            await task
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode().split("\r\n")[:-2])
        if self.answer is None:
            await asyncio.sleep(3600)
        elif not self.answer.startswith(b"HTTP/1.1 200 "):
            writer.write(self.answer)
            await writer.drain()
        else:
            await self._connect(reader, writer, self.answer)

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
    ) -> None:
        host, _, port = self.places[-1].rpartition(":")
        behind, before = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(answer)
        try:
            await asyncio.gather(_copy(reader, before), _copy(behind, writer))
        finally:
            before.transport.abort()

    def abandon(self) -> None:
        """Drop what still hangs."""
        for task in self._tasks:
            task.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(MOST):
        writer.write(piece)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[ToldProxy]:
    """A ToldProxy while the context lasts."""
    proxy = ToldProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.abandon()
        await server.wait_closed()
