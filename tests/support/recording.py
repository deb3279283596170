"""A receiver on a thread of its own that verifies with somebody else's library."""

import threading
from asyncio import new_event_loop, run_coroutine_threadsafe
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from workers.serve import listen


@dataclass(frozen=True)
class Arrived:
    """One request that arrived."""

    headers: dict[str, str]
    body: bytes
    is_verified: bool


@dataclass
class Recorder:
    """Arrivals by path; `secrets` by path, set once the webhook exists.

    `answers`: by path, the statuses of the next answers; all others are 204.
    """

    secrets: dict[str, str] = field(default_factory=dict)
    arrivals: defaultdict[str, list[Arrived]] = field(
        default_factory=lambda: defaultdict(list)
    )
    answers: defaultdict[str, deque[int]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    url: str = ""

    async def receive(self, request: web.Request) -> web.Response:
        """Verify, keep, answer."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            Webhook(self.secrets[request.path]).verify(body, headers)
            is_verified = True
        except (WebhookVerificationError, KeyError):
            is_verified = False
        self.arrivals[request.path].append(Arrived(headers, body, is_verified))
        answers = self.answers[request.path]
        return web.Response(status=answers.popleft() if answers else 204)

    def ids(self, path: str) -> list[str]:
        """The webhook-ids that arrived there, in order, repeats included."""
        return [arrived.headers["webhook-id"] for arrived in list(self.arrivals[path])]


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder on a thread of its own, so that a blocking test does not hold it up."""
    recorder = Recorder()
    loop = new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> web.AppRunner:
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/{name}", recorder.receive)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        sock = listen("127.0.0.1", 0)
        await web.SockSite(runner, sock).start()
        recorder.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        return runner

    runner = run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        yield recorder
    finally:
        run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
