"""What a worker process tells of itself: `/metrics` and health, on a port of their own.

They ask for no key, as a worker has none; so they listen on the loopback address unless
told otherwise.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from projections import figures, health, postgres, telemetry
from projections.postgres import Link
from workers.serve import listen


class Metrics:
    """Answers while it is open; the database is asked only when somebody asks."""

    def __init__(self, url: str, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._link = Link(url, "daybook_worker", "metrics")
        self._one_at_a_time = asyncio.Lock()
        application = web.Application()
        application.router.add_get("/metrics", self._answer)
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        self._runner = web.AppRunner(application, access_log=None)

    async def open(self, host: str, port: int) -> int:
        """Listen; the port. Raises PortsTaken."""
        sock = listen(host, port)
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()
        return int(sock.getsockname()[1])

    async def close(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()
        await self._link.close()

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def _ready(self, request: web.Request) -> web.Response:
        if self._is_ready():
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "unready"}, status=503)

    async def _answer(self, request: web.Request) -> web.Response:
        content_type = telemetry.MEDIA_TYPE.decode()
        return web.Response(
            body=telemetry.text(await self._found()),
            headers={"Content-Type": content_type},
        )

    async def _found(self) -> telemetry.Families:
        """Figures of the database; none while it is away."""
        try:
            async with self._one_at_a_time:
                connection = await self._link.connection()
                return [
                    *figures.of_projections(await health.checkpoints(connection)),
                    *figures.of_deliveries(
                        await figures.owed(connection),
                        await figures.workers(connection),
                    ),
                ]
        except postgres.AWAY:
            await self._link.close()
            return []
