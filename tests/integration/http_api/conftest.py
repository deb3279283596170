"""A server for the session, and a fresh tenant with its own key for each test."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn

from api.app import create_app
from api.settings import ApiSettings
from domain.tenancy.api_key import SCOPES
from projections.context import BoundedContext
from projections.runner import Runner
from projections.vault import generate_keys
from projections.webhooks.handoff import Handoff
from tests.support import plain_http, postgres
from tests.support.waiting import eventually
from workers import serve
from workers.protocol import BoundedProtocol

OPERATOR_KEY = "operator-key-of-the-tests"


@dataclass(frozen=True)
class Server:
    """A running API and the database behind it."""

    url: str
    database_url: str
    secret_keys: str = ""

    def client(self, key: str | None) -> httpx.Client:
        return plain_http.client(self.url, key)

    def admin(self) -> psycopg.Connection[Any]:
        """The database as the login itself, which sees every tenant."""
        return postgres.connect(self.database_url)


@dataclass
class Account:
    """A tenant, its key, and what a test does with them."""

    server: Server
    tenant_id: str
    key: str
    client: httpx.Client
    made: list[httpx.Client] = field(default_factory=list)

    def publish(self, event_type: str = "a.b", **fields: Any) -> dict[str, Any]:
        event = {"type": event_type, "data": {}} | fields
        response = self.client.post("/api/v1/events", json=event)
        assert response.status_code in (200, 202), response.text
        answer: dict[str, Any] = response.json()
        return answer

    def webhook(self, **settings: Any) -> dict[str, Any]:
        wanted = {"url": "https://example.com/hook", "event_types": ["*"]} | settings
        response = self.client.post("/api/v1/webhooks", json=wanted)
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        response = self.client.get(path, params=params)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def with_scopes(self, *scopes: str) -> httpx.Client:
        """A client of the same tenant that may do less."""
        body = {"name": "less", "scopes": list(scopes)}
        made = self.client.post("/api/v1/keys", json=body)
        assert made.status_code == 201, made.text
        client = self.server.client(made.json()["key"])
        self.made.append(client)
        return client

    def close(self) -> None:
        for client in (self.client, *self.made):
            client.close()


@pytest.fixture(scope="session")
def server(server_url: str, template: str) -> Iterator[Server]:
    """The API on a port of its own, with a database of its own."""
    with postgres.database(server_url, template) as database_url:
        settings = ApiSettings(
            database_url=database_url,
            secret_keys=generate_keys(),
            operator_key=OPERATOR_KEY,
            # All tests come from one address and share the operator's key.
            limit_default=1_000_000,
            limit_auth=1_000_000,
            webhook_ports="8443",
        )
        with running(settings) as url:
            yield Server(url, database_url, settings.secret_keys)


@contextmanager
def running(
    settings: ApiSettings, contexts: Sequence[BoundedContext] = ()
) -> Iterator[str]:
    """An API with these settings, in a thread; its URL."""
    config = uvicorn.Config(
        create_app(settings, contexts),
        port=0,
        ws=serve.WEBSOCKETS,
        log_config=None,
        timeout_graceful_shutdown=5,
        http=BoundedProtocol,
        proxy_headers=settings.trusted_proxies is not None,
        forwarded_allow_ips=settings.trusted_proxies or "",
    )
    process = serve.Server(config)
    thread = threading.Thread(target=process.run, name="api")
    thread.start()
    try:
        eventually(lambda: process.started or not thread.is_alive())
        port = process.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def operator(server: Server) -> Iterator[httpx.Client]:
    """Who manages tenants and keys."""
    with server.client(OPERATOR_KEY) as client:
        yield client


@pytest.fixture(scope="session")
def stranger(server: Server) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with server.client(None) as client:
        yield client


def open_account(server: Server, operator: httpx.Client, name: str = "demo") -> Account:
    """A fresh tenant with a key that may do everything."""
    tenant = operator.post("/api/v1/tenants", json={"name": name}).json()
    body = {"name": "all", "scopes": list(SCOPES), "tenant_id": tenant["id"]}
    key = operator.post("/api/v1/keys", json=body).json()["key"]
    return Account(server, tenant["id"], key, server.client(key))


@pytest.fixture
def account(server: Server, operator: httpx.Client) -> Iterator[Account]:
    """A fresh tenant."""
    opened = open_account(server, operator)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def module_account(server: Server, operator: httpx.Client) -> Iterator[Account]:
    """A tenant that the tests of a file share; none of them changes anything of its."""
    opened = open_account(server, operator, "shared")
    yield opened
    opened.close()


@pytest.fixture
def other(server: Server, operator: httpx.Client) -> Iterator[Account]:
    """Another fresh tenant."""
    opened = open_account(server, operator, "other")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def hand_off(server: Server) -> Callable[[], None]:
    """Owe the webhooks what has been published so far, as a worker does."""

    def run() -> None:
        asyncio.run(hand_off_all(server.database_url))

    return run


async def hand_off_all(database_url: str) -> None:
    runner = Runner(database_url, Handoff(lambda touched: None))
    while await runner.step():
        pass
