"""An OpenTelemetry collector that remembers what it was sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from workers.serve import listen


@dataclass
class Collected:
    """Names of spans by the service that made them, and all bytes that came."""

    spans: dict[str, set[str]] = field(default_factory=dict)
    raw: bytes = b""

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {a.key: a.value.string_value for a in each.resource.attributes}
            names = {span.name for scope in each.scope_spans for span in scope.spans}
            self.spans.setdefault(about["service.name"], set()).update(names)
        return web.Response()


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collected, str]]:
    """The collector and its URL."""
    collected = Collected()
    application = web.Application()
    application.router.add_post("/v1/traces", collected._take)
    running = web.AppRunner(application, access_log=None)
    await running.setup()
    sock = listen("127.0.0.1", 0)
    await web.SockSite(running, sock).start()
    try:
        yield collected, f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        await running.cleanup()
