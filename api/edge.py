"""What every response carries, whoever made it: a request id and the security headers.

Litestar's middleware does not see what its router refuses (404, 405), so this wraps the
whole application.
"""

import re
from time import perf_counter
from typing import Any

import structlog
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.observing import Observer
from domain import ids

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_API = "/api"

# Nothing here runs scripts or is put into a frame; pages load our own stylesheet, no more.
_POLICY = (
    b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
NO_STORE = (b"cache-control", b"no-store")


class Edge:
    """The outermost layer of the HTTP process."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._observer = Observer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its response back with what it must carry."""
        if scope["type"] != ScopeType.HTTP:
            await self._other(scope, receive, send)
            return
        came = perf_counter()
        status, answered = None, 0.0
        added = _added(scope)
        is_head = scope["method"] == "HEAD"
        scope["state"]["is_head"] = is_head

        async def send_complete(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], perf_counter()
                message["headers"] = [*message["headers"], *added]
            elif is_head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        if is_head:
            # The server keeps the scope it gave us, and with it the true method.
            scope = scope.copy()
            scope["method"] = HttpMethod.GET.value
        span = self._observer.begun(scope)
        try:
            await self._app(scope, receive, send_complete)
        finally:
            took = perf_counter() - came
            self._observer.ended(scope, status, answered - came, took, span)

    async def _other(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass on a WebSocket, whose handshake is the server's; or the process's life."""
        if scope["type"] != ScopeType.WEBSOCKET:
            await self._app(scope, receive, send)
            return
        came = perf_counter()
        code = None
        identity = ids.fresh("req")
        scope.setdefault("state", {})["request_id"] = identity
        structlog.contextvars.bind_contextvars(request_id=identity)

        async def send_noting(message: Message) -> None:
            nonlocal code
            if message["type"] == "websocket.close":
                code = message["code"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            self._observer.closed(scope, code, perf_counter() - came)


def request_id(scope: Scope) -> str:
    """The id of the request that this is the scope of."""
    return str(scope["state"]["request_id"])


def wants_headers_only(scope: Scope) -> bool:
    """Whether it was HEAD, which came on as GET: an answer without an end must know."""
    return bool(scope["state"]["is_head"])


def _added(scope: Any) -> list[tuple[bytes, bytes]]:
    identity = _request_id(scope)
    scope.setdefault("state", {})["request_id"] = identity.decode()
    # Each request is a task of its own: what it logs, in threads too, says which it was.
    structlog.contextvars.bind_contextvars(request_id=identity.decode())
    added = [*SECURITY, (b"x-request-id", identity)]
    scope["state"]["added"] = added  # what comes to light on the way is put to it
    if scope["path"].startswith(_API):
        added.append(NO_STORE)
    if scope["scheme"] == "https":
        added.append(HSTS)
    return added


def _request_id(scope: Any) -> bytes:
    """The caller's own id when it is a plain word, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return ids.fresh("req").encode()
