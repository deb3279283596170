"""The API with the construction site mounted, a worker beside it, and a tenant for all."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from api.settings import ApiSettings
from examples.construction_site.context import CONTEXT
from migrations import runner
from projections import startup
from projections.context import Contexts
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    open_account,
    running,
)
from tests.support import postgres
from tests.support.builders import SECRET_KEYS
from tests.support.waiting import eventually
from workers.settings import WorkerSettings
from workers.worker import Worker


class Working:
    """A worker with the construction site, on a thread of its own."""

    def __init__(self, url: str) -> None:
        self._settings = WorkerSettings(
            database_url=url,
            secret_keys=SECRET_KEYS,
            development=True,
            lease_seconds=2,
            grace_seconds=0,
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread.start()
        eventually(lambda: self._loop is not None)

    async def _run(self) -> None:
        worker = Worker(self._settings, (CONTEXT,))
        self._loop = asyncio.get_running_loop()
        await worker.run(self._stop)

    def stop(self) -> None:
        """Stop it, and wait until it has."""
        assert self._loop
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="session")
def server(server_url: str, template: str) -> Iterator[Server]:
    """The API with the construction site, and a worker."""
    with postgres.database(server_url, template) as url:
        runner.migrate(url, Contexts((CONTEXT,)).folders)
        asyncio.run(startup.check(url, *startup.API, *startup.WORKER))
        settings = ApiSettings(
            database_url=url,
            secret_keys=SECRET_KEYS,
            operator_key=OPERATOR_KEY,
            development=True,
            limit_default=1_000_000,
            limit_auth=1_000_000,
        )
        worker = Working(url)
        try:
            with running(settings, (CONTEXT,)) as api:
                yield Server(api, url)
        finally:
            worker.stop()


@pytest.fixture(scope="session")
def account(server: Server) -> Iterator[Account]:
    """A tenant, with a key for everything."""
    with server.client(OPERATOR_KEY) as operator:
        opened = open_account(server, operator, "hub chantier")
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def client(account: Account) -> httpx.Client:
    """The tenant's own."""
    return account.client
