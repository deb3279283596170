"""One run of development mode, from the first line on the screen to the last.

Everything runs in this process: API, worker and receiver on one event loop, and the log's
appender beside it; only Postgres is a process of its own, and survives being killed. So
Ctrl-C ends everything, and there is nothing to clean up after a kill. The programs of an
example are processes too, and end with this one.
"""

import asyncio
import os
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain import ids
from projections import context, startup
from projections.context import Contexts
from workers.dev import example, files, screen
from workers.dev.database import Database
from workers.dev.demo import Demo, examples
from workers.dev.example import Example
from workers.dev.files import Dev, Keys
from workers.dev.programs import Programs
from workers.dev.screen import Screen
from workers.receiver import Arrival, Receiver
from workers.serve import Server, listen, server
from workers.settings import WorkerSettings
from workers.stopping import on_signals
from workers.worker import Worker

HOST = "127.0.0.1"
OTHER_PORTS = 50  # how many to try after the wished one
FIRST_DELIVERY_SECONDS = 15.0
REVIVE_SECONDS = 1.0


class Session:
    """Starts everything, shows it, waits for the end."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        demo: bool,
        screen: Screen,
        contexts: str | None = None,
        example: Example | None = None,
    ) -> None:
        """`contexts` of the user's own, by name. Raises SettingsError.

        An example brings its own ones, its past, and programs that run beside it.
        """
        self._folder = folder
        self._example = example
        self._named = contexts if example is None else example.CONTEXTS
        self._contexts = context.load(self._named)
        self._programs = Programs(self._hear)
        self._port = port
        self._wants_demo = demo
        self._screen = screen
        self._stop = asyncio.Event()
        self._arrived: set[str] = set()
        self._arrival = asyncio.Event()

    async def run(self) -> None:
        """Run until Ctrl-C or SIGTERM."""
        on_signals(self._stop.set)
        self._folder.mkdir(parents=True, exist_ok=True)
        database = await asyncio.to_thread(
            Database, self._folder, self._screen.step, Contexts(self._contexts).folders
        )
        try:
            await self._run_with(database)
        finally:
            files.forget_dev(self._folder)
            database.release()
            self._screen.say("Stopped.")

    async def _run_with(self, database: Database) -> None:
        keys = files.load_keys(self._folder)
        # Saved before anything uses them: what is sealed with a lost key stays sealed.
        files.save_keys(self._folder, keys)
        self._configure(database.url, keys)
        await startup.check(database.url, *startup.API, *startup.WORKER)
        sock = self._listen()
        receiver = Receiver(lambda: keys.webhook_secrets, self._arrive)
        receiver_url = await _start_near(receiver, sock.getsockname()[1] + 1)
        http = server()
        running = [
            asyncio.create_task(self._serve(http, sock), name="api"),
            asyncio.create_task(self._work(database.url, keys), name="worker"),
            asyncio.create_task(self._keep_alive(database), name="postgres"),
        ]
        try:
            api_url = f"http://{HOST}:{sock.getsockname()[1]}"
            hook_url = f"{receiver_url}/hooks/demo"
            await self._first(running, self._begin(api_url, hook_url, database, keys))
            await self._first(running, self._stop.wait())
        finally:
            self._stop.set()
            http.should_exit = True
            running[2].cancel()
            await self._programs.stop()
            await asyncio.gather(*running, return_exceptions=True)
            await receiver.stop()

    async def _begin(
        self, api_url: str, hook_url: str, database: Database, keys: Keys
    ) -> None:
        """The tenant, the demonstration, the file, the screen."""
        self._screen.step("waiting for the API")
        demo = Demo(api_url, keys)
        try:
            await demo.wait_until_ready()
            await demo.ensure_tenant()
            kept = await demo.kept() if keys.webhook_id or self._example else 0
            if self._wants_demo:
                await demo.ensure_webhook(hook_url)
            files.save_keys(self._folder, keys)
            dev = _dev(api_url, hook_url, database.url, keys, self._named)
            files.save_dev(self._folder, dev)
            tries = screen.tries(dev, examples()[-1], fails=self._wants_demo)
            if self._example is not None:
                await self._stage(self._example, dev)
                tries = list(self._example.screenful())
            elif self._wants_demo:
                await self._show(demo, is_first=not kept)
            self._screen.ready(dev, kept, tries)
        finally:
            await demo.close()

    async def _stage(self, which: Example, dev: Dev) -> None:
        """An example's past, and its programs."""

        def report(recorded: int) -> None:
            self._screen.step(f"recording its past: {recorded:,} events")

        tenant_id = ids.decode("ten", dev.tenant_id)
        await example.load(which, self._contexts, dev.database_url, tenant_id, report)
        known = {"DAYBOOK_API_URL": dev.api_url, "DAYBOOK_API_KEY": dev.api_key}
        port = urlsplit(dev.receiver_url).port or 0
        for number, (name, program) in enumerate(which.PROGRAMS.items(), 1):
            data = self._folder / name
            await self._programs.start(name, program, data, port + number, **known)

    def _hear(self, name: str, line: str) -> None:
        if self._example is not None and self._example.HIDDEN not in line:
            self._screen.line(name, line)

    async def _show(self, demo: Demo, *, is_first: bool) -> None:
        """Publish, and wait until it has arrived: the whole way of an event."""
        self._screen.say("Publishing, and waiting for the webhooks:")
        events = examples() if is_first else examples()[-1:]
        wanted = set(await demo.publish(events))
        deadline = time.monotonic() + FIRST_DELIVERY_SECONDS
        while not wanted <= self._arrived and time.monotonic() < deadline:
            self._arrival.clear()
            try:
                async with asyncio.timeout(0.5):
                    await self._arrival.wait()
            except TimeoutError:
                pass
        if not wanted <= self._arrived:
            self._screen.say(
                "[bold red]Not all webhooks arrived.[/] `python3 start.py doctor` says why."
            )

    def _arrive(self, arrival: Arrival) -> None:
        self._screen.arrival(arrival)
        if arrival.verified and arrival.webhook_id:
            self._arrived.add(arrival.webhook_id)
        self._arrival.set()

    def _configure(self, url: str, keys: Keys) -> None:
        """The API reads its settings from the environment, here as everywhere."""
        os.environ["DAYBOOK_DATABASE_URL"] = url
        os.environ["DAYBOOK_SECRET_KEYS"] = keys.secret_keys
        os.environ["DAYBOOK_OPERATOR_KEY"] = keys.operator_key
        os.environ["DAYBOOK_DEVELOPMENT"] = "true"
        if self._named is not None:
            os.environ["DAYBOOK_CONTEXTS"] = self._named

    def _listen(self) -> socket.socket:
        sock = listen(HOST, self._port, others=OTHER_PORTS)
        port = sock.getsockname()[1]
        if self._port not in (0, port):
            self._screen.say(f"Port {self._port} is taken; using {port}.")
        return sock

    async def _serve(self, http: Server, sock: socket.socket) -> None:
        self._screen.step("starting the API")
        await http.serve(sockets=[sock])

    async def _work(self, url: str, keys: Keys) -> None:
        settings = WorkerSettings(
            database_url=url,
            secret_keys=keys.secret_keys,
            development=True,
            lease_seconds=4,
        )
        await Worker(settings, self._contexts).run(self._stop)

    async def _keep_alive(self, database: Database) -> None:
        """Start the embedded Postgres again when somebody killed it and its supervisor."""
        while True:
            await asyncio.sleep(REVIVE_SECONDS)
            await asyncio.to_thread(database.revive)

    async def _first(
        self, running: list[asyncio.Task[None]], what: Coroutine[Any, Any, object]
    ) -> None:
        """Wait for `what`; when a part of the product ends before, say so and end."""
        task = asyncio.ensure_future(what)
        done, _ = await asyncio.wait(
            [task, *running], return_when=asyncio.FIRST_COMPLETED
        )
        for ended in done:
            if ended is not task and not self._stop.is_set():
                task.cancel()
                await ended
                raise RuntimeError(f"the {ended.get_name()} ended by itself")
        if self._stop.is_set() and not task.done():
            task.cancel()
            return
        await task


async def _start_near(receiver: Receiver, port: int) -> str:
    """Start the receiver on this port if it is free, so that its URL stays the same."""
    try:
        return await receiver.start(HOST, port)
    except OSError:
        return await receiver.start(HOST, 0)


def _dev(
    api_url: str, hook_url: str, database_url: str, keys: Keys, contexts: str | None
) -> Dev:
    return Dev(
        api_url=api_url,
        console_url=None,
        api_key=keys.api_key or "",
        operator_key=keys.operator_key,
        tenant_id=keys.tenant_id or "",
        receiver_url=hook_url,
        database_url=database_url,
        pid=os.getpid(),
        contexts=contexts,
    )
