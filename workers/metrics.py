"""`/metrics` of a worker process: on a port of its own, for Prometheus.

It asks for no key, as a worker has none; so it listens on the loopback address unless it
is told otherwise.
"""

import asyncio

from aiohttp import web

from projections import figures, health, postgres, telemetry
from projections.postgres import Link
from workers.serve import listen


class Metrics:
    """Answers while it is open; the database is asked only when somebody asks."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, "daybook_worker", "metrics")
        self._one_at_a_time = asyncio.Lock()
        application = web.Application()
        application.router.add_get("/metrics", self._answer)
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
