"""`daybook listen`: deliveries of a running Daybook, forwarded to a program of one's own.

A webhook to a small receiver in this process exists for as long as the command runs. What
arrives is sent on as it came, signature and all, so the program verifies what it would
verify in earnest; its answer goes back as the receiver's.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click
import httpx
from aiohttp import web

from workers.client import Api
from workers.serve import listen
from workers.stopping import on_signals

HOST = "127.0.0.1"
DROPPED = frozenset({"host", "content-length", "connection", "transfer-encoding"})


class Forwarder:
    """Receives deliveries and sends each on to `target`."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._client = httpx.AsyncClient(timeout=25, trust_env=False)

    async def forward(self, request: web.Request) -> web.Response:
        """Send one on; its answer, or 502 when there was none."""
        body = await request.read()
        try:
            answer = await self._client.post(
                self._target, content=body, headers=_kept(request.headers)
            )
        except httpx.HTTPError as error:
            _show(request, f"{self._target} does not answer: {type(error).__name__}")
            return web.Response(status=502)
        _show(request, str(answer.status_code))
        return web.Response(status=answer.status_code, body=answer.content)

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()


async def run(api: Api, target: str, event_types: Sequence[str]) -> None:
    """Forward until Ctrl-C; the webhook is deleted at the end."""
    stop = asyncio.Event()
    on_signals(stop.set)
    forwarder = Forwarder(target)
    application = web.Application()
    application.router.add_post("/", forwarder.forward)
    running = web.AppRunner(application, access_log=None)
    await running.setup()
    sock = listen(HOST, 0)
    await web.SockSite(running, sock).start()
    webhook = await asyncio.to_thread(
        _subscribe, api, f"http://{HOST}:{sock.getsockname()[1]}/", list(event_types)
    )
    try:
        click.echo(f"Forwarding {' '.join(event_types)} to {target}; Ctrl-C ends it.")
        click.echo(f"The signing secret is {webhook['secret']}")
        await stop.wait()
    finally:
        await asyncio.to_thread(api.call, "DELETE", f"/api/v1/webhooks/{webhook['id']}")
        await running.cleanup()
        await forwarder.close()


def _subscribe(api: Api, url: str, event_types: list[str]) -> Any:
    body = {"url": url, "event_types": event_types, "name": "listen", "retry": "fast"}
    return api.call("POST", "/api/v1/webhooks", json=body)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in headers.items() if name.lower() not in DROPPED
    }


def _show(request: web.Request, outcome: str) -> None:
    name = request.headers.get("daybook-type", "?")
    position = request.headers.get("daybook-position", "test")
    attempt = request.headers.get("daybook-attempt", "?")
    click.echo(f"  {name}  position {position}  attempt {attempt}  -> {outcome}")
