"""A worker in this process and a receiver that does as it is told."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from aiohttp import web
from psycopg.rows import namedtuple_row

from domain import clock
from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import commands
from projections.log.request_queue import Request
from projections.webhooks import sealing
from projections.webhooks.sealing import Place
from tests.support import builders
from tests.support.builders import SECRET_KEYS, VAULT
from workers.serve import listen
from workers.settings import WorkerSettings
from workers.worker import Worker

NEW_SECRET = b"n" * 40


class ToldReceiver:
    """Answers 204, or the next of `answers`; holds its answers while `gate` is closed."""

    def __init__(self) -> None:
        self.answers: deque[int] = deque()
        self.text = ""  # the body of each answer
        self.seconds = 0.0  # how long each takes
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrivals: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def _receive(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.arrivals.append({k.lower(): v for k, v in request.headers.items()})
        try:
            await self.gate.wait()
            if self.seconds:
                await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        status = self.answers.popleft() if self.answers else 204
        return web.Response(status=status, text=self.text or None)

    def ids(self) -> Counter[str]:
        """How often each webhook-id arrived."""
        return Counter(arrival["webhook-id"] for arrival in self.arrivals)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[ToldReceiver, str]]:
    """A receiver and its URL."""
    receiver = ToldReceiver()
    application = web.Application()
    application.router.add_post("/hook", receiver._receive)
    running = web.AppRunner(application, access_log=None)
    await running.setup()
    sock = listen("127.0.0.1", 0)
    await web.SockSite(running, sock).start()
    try:
        yield receiver, f"http://127.0.0.1:{sock.getsockname()[1]}/hook"
    finally:
        receiver.gate.set()
        await running.cleanup()


@asynccontextmanager
async def working(url: str, **settings: Any) -> AsyncIterator[asyncio.Task[None]]:
    """A worker, stopped properly at the end; cancel its task for an end without manners."""
    given = {"lease_seconds": 2.0, "grace_seconds": 1.0, "development": True}
    stop = asyncio.Event()
    worker = Worker(
        WorkerSettings(database_url=url, secret_keys=SECRET_KEYS, **(given | settings))
    )
    task = asyncio.create_task(worker.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


async def rows(url: str, query: str, *params: Any) -> list[Any]:
    """What a superuser sees."""
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, row_factory=namedtuple_row
    ) as connection:
        cursor = await connection.execute(query.encode(), params)
        return await cursor.fetchall() if cursor.description else []


async def hasten(url: str) -> None:
    """Every waiting retry is due now, and the workers know."""
    await rows(url, "update daybook.owed set next_attempt_at = now() "
                    "where next_attempt_at < 'infinity'")  # fmt: skip
    await rows(url, "insert into daybook.pokes (tenant_id, webhook_id) "
                    "select tenant_id, webhook_id from daybook.webhooks")  # fmt: skip
    await rows(url, "notify daybook_work")


async def publish(
    log: Log, tenant_id: UUID, count: int = 1, streams: int = 1, **fields: Any
) -> None:
    """Events, one after the other, over so many streams in turn."""
    appender = log.factory.appender  # type: ignore[attr-defined]
    entries = [
        builders.an_entry(tenant_id, **{"stream": f"site/{n % streams}"} | fields)
        for n in range(count)
    ]
    await asyncio.gather(*(appender.append(Request([entry])) for entry in entries))


async def subscribe(log: Log, tenant_id: UUID, url: str, **settings: Any) -> UUID:
    """A webhook for `crane.*`."""
    settings = {"event_types": ["crane.*"], "retry": "fast"} | settings
    return await asyncio.to_thread(
        lambda: builders.a_webhook(log, tenant_id, url=url, **settings)
    )


def rotate(log: Log, tenant_id: UUID, webhook_id: UUID) -> None:
    """Its secret becomes NEW_SECRET; the one before signs for another hour."""
    now = clock.now()
    webhook = commands.load(log, tenant_id, webhook_id)
    place = Place(tenant_id, webhook_id, webhook.version + 1)
    riders = [
        sealing.expiry_rider(place, now, now + timedelta(hours=1)),
        sealing.signing_rider(VAULT, place, NEW_SECRET),
    ]
    webhook.rotate_secret(clock.rfc3339(now + timedelta(hours=1)))
    log.record(webhook, Context("test", riders=riders))


def finished(url: str, count: int) -> Callable[[], Any]:
    """Whether so many deliveries are finished."""

    async def enough() -> bool:
        [row] = await rows(url, "select count(*) as n from daybook.results")
        return bool(row.n >= count)

    return enough
