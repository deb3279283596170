"""Doors: under which names we are reached, and from which pages, where that is set.

By default there are none: every name is answered, and browsers let pages of no other origin
in. There are no cookies here, so a browser sends nothing along by itself; a page of a named
origin must have a key or a ticket like everybody.
"""

import re
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.answers import Answer
from api.request import ApiRequest
from api.settings import ApiSettings
from domain.errors import NotFound

Header = tuple[bytes, bytes]

_PORT = re.compile(r":[0-9]*$")
_EVERY = "*"
_EXPOSED: Header = (
    b"access-control-expose-headers",
    (
        b"Daybook-Position, ETag, Idempotent-Replayed, Location, RateLimit, "
        b"RateLimit-Policy, Retry-After, X-Request-ID"
    ),
)
# What a browser is told that asks beforehand; the same of every path.
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Daybook-Tenant, "
    "Idempotency-Key, If-Match, Last-Event-ID, Traceparent, X-Request-ID",
    "Access-Control-Max-Age": "600",
}


def before(app: ASGIApp, settings: ApiSettings) -> ASGIApp:
    """The application behind its doors; without any, itself."""
    hosts, origins = _names(settings.allowed_hosts), _names(settings.cors_origins)
    return Doors(app, hosts, origins) if hosts or origins else app


class Doors:
    """Lets in what may come in."""

    def __init__(self, app: ASGIApp, hosts: set[str], origins: set[str]) -> None:
        self._app, self._hosts, self._origins = app, hosts, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or answer it."""
        if scope["type"] == ScopeType.HTTP:
            await self._request(scope, receive, send)
        elif self._is_ours(scope):
            await self._app(scope, receive, send)
        else:
            await receive()  # the wish to connect
            await send({"type": "websocket.close", "code": 1008, "reason": ""})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked: Any = scope
        if not self._is_ours(scope):
            refusal = NotFound("nothing is served under the name in Host")
            request = ApiRequest(asked, receive, send)
            await errors.refused(request, refusal)(scope, receive, send)
            return
        asked["state"]["added"] += self._of_origin(scope)
        if self._origins and _is_preflight(scope):
            answer = Answer(b"", status=204, media_type=None, headers=_PREFLIGHT)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_ours(self, scope: Any) -> bool:
        """Whether it names one of our names. Whoever asks for our health need not."""
        if not self._hosts or scope["path"].startswith("/health/"):
            return True
        return _PORT.sub("", _sent(scope, b"host").lower()) in self._hosts

    def _of_origin(self, scope: Scope) -> list[Header]:
        """What its answer tells the browser that sent it."""
        if not self._origins:
            return []
        origin = _sent(scope, b"origin")
        # Caches must not give one origin's answer to another.
        headers: list[Header] = [(b"vary", b"Origin")]
        if origin and not self._origins.isdisjoint({origin, _EVERY}):
            allowed = (b"access-control-allow-origin", origin.encode("latin-1"))
            headers += (allowed, _EXPOSED)
        return headers


def _is_preflight(scope: Any) -> bool:
    asks = b"access-control-request-method"
    return bool(
        scope["method"] == "OPTIONS" and _sent(scope, b"origin") and _sent(scope, asks)
    )


def _sent(scope: Any, wanted: bytes) -> str:
    """The header's value; one that was sent twice, or not at all, is empty."""
    found = [value for name, value in scope["headers"] if name == wanted]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _names(setting: str | None) -> set[str]:
    return {part.strip().lower() for part in (setting or "").split(",")} - {""}
