"""What the three programs share: a webhook of their own, and a door for what it brings.

Copy it beside your program. It needs `httpx` and `standardwebhooks` from PyPI, and:

    DAYBOOK_API_URL, DAYBOOK_API_KEY   `daybook env` prints both
    PORT                               where the program listens, on loopback
    PUBLIC_URL                         how Daybook reaches it; left out: at that port
    DATA                               the folder of what it keeps; left out: this one
"""

import base64
import os
import secrets
import sqlite3
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

LARGEST = 1024 * 1024  # bytes of a body; an event has 256 KiB at most
SETTINGS = "create table if not exists settings (name text primary key, value text)"


class TryLater(Exception):
    """The event cannot be taken now: Daybook is asked to send it again."""

    def __init__(self, retry_after: str | None = None) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


def folder() -> Path:
    """Where the program keeps its files."""
    found = Path(os.environ.get("DATA", "."))
    found.mkdir(parents=True, exist_ok=True)
    return found


def database(path: Path) -> sqlite3.Connection:
    """A SQLite file of the program's own: what is committed there survives a power cut."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute(SETTINGS)
    return connection


def client() -> httpx.Client:
    """Daybook's HTTP API, with the key of this program's tenant."""
    return httpx.Client(
        base_url=os.environ["DAYBOOK_API_URL"],
        headers={"Authorization": f"Bearer {os.environ['DAYBOOK_API_KEY']}"},
        timeout=30,  # longer than the longest long poll
    )


def subscribed(connection: sqlite3.Connection, api: httpx.Client, **wanted: Any) -> str:
    """The secret of this program's webhook, which its first start makes.

    The secret is ours, and written down before Daybook hears of it. Whatever crashes in
    between, the next start sends the same request again, and is answered with the same
    webhook.
    """
    secret = _kept(connection, "secret", _new_secret)
    url = os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{os.environ['PORT']}/")
    request = _kept(connection, "request", lambda: uuid4().hex)
    wanted |= {"url": url, "secret": secret}
    webhook_id = _kept(connection, "webhook", lambda: _made(api, request, wanted))
    path = f"/api/v1/webhooks/{webhook_id}"
    webhook = _answer(api.patch(path, json={"url": url}))
    if webhook["state"] == "disabled" and webhook["disabled"]["reason"] == "failures":
        _answer(api.post(f"{path}/enable", json={"resume": "continue"}))
    return secret


class Door(BaseHTTPRequestHandler):
    """One connection of Daybook's, delivery after delivery; see `serve`."""

    protocol_version = "HTTP/1.1"  # connections are used again
    timeout = 60  # seconds until one that says nothing more is closed
    server: "Server"

    def do_POST(self) -> None:
        """Check it as it came, before anything reads it."""
        length = int(self.headers.get("content-length", 0))
        if length > LARGEST:
            self.close_connection = True  # with the body unread
            return self._answer(413)
        body = self.rfile.read(length)
        try:
            event = self.server.webhook.verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            return self._answer(400)
        try:
            self.server.take_one(event)
        except TryLater as later:
            return self._answer(503, later.retry_after)
        except Exception as error:
            say(f"{self.headers['webhook-id']}: {error!r}")
            return self._answer(503)
        return self._answer(204)

    def _answer(self, status: int, retry_after: str | None = None) -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """The programs say themselves what they do."""


class Server(ThreadingHTTPServer):
    """Takes deliveries, one at a time."""

    request_queue_size = 1024  # five, if nothing is said, which drops connections
    daemon_threads = True

    def __init__(self, secret: str, take: Callable[[dict[str, Any]], None]) -> None:
        self.webhook = Webhook(secret)
        self._take, self._taking = take, threading.Lock()
        super().__init__(("127.0.0.1", int(os.environ["PORT"])), Door)

    def take_one(self, event: dict[str, Any]) -> None:
        """Have its effect; a test of the webhook is in no log, and has none."""
        if event["position"] is not None:
            with self._taking:
                self._take(event)


def serve(secret: str, take: Callable[[dict[str, Any]], None]) -> None:
    """Give `take` one event after the other, for ever.

    The answer 204 comes after `take` has returned, so an event is answered when its effect
    is on disk. Whatever `take` raises is a 503: Daybook sends the event again.
    """
    server = Server(secret, take)
    say(f"listening on port {server.server_port}")
    server.serve_forever()


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _made(api: httpx.Client, request: str, wanted: dict[str, Any]) -> str:
    headers = {"Idempotency-Key": request}
    made = _answer(api.post("/api/v1/webhooks", json=wanted, headers=headers))
    return str(made["id"])


def _kept(connection: sqlite3.Connection, name: str, make: Callable[[], str]) -> str:
    """A setting, made and committed when it is not there yet."""
    found = connection.execute("select value from settings where name = ?", [name])
    if row := found.fetchone():
        return str(row[0])
    value = make()
    with connection:
        connection.execute("insert into settings values (?, ?)", [name, value])
    return value


def _answer(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()
