"""Every error as RFC 9457 problem+json: ours, the domain's and Litestar's.

What has no code in the table is `internal`: logged with the request's id, never shown.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from api import edge, shapes
from api.answers import Answer
from api.problems import PROBLEMS
from domain.errors import (
    DomainError,
    EventExists,
    Fault,
    IdempotencyRunning,
    Repeated,
)
from domain.ids import Prefix
from domain.json_pointer import escape
from domain.json_text import MalformedJson
from projections import failure

MEDIA_TYPE = "application/problem+json"
_MEDIA_TYPE = MEDIA_TYPE.encode()
MOST_FAULTS = 100
RETRY_AFTER = {"Retry-After": "1"}
_LONGEST_NAME = 128  # of what a caller sent, when it is named back

log = structlog.get_logger("daybook.api")


class Unauthenticated(DomainError):
    """Send a valid key as a Bearer token."""

    code = "unauthenticated"


class KeyMissing(Unauthenticated):
    """Send a key as a Bearer token: there was none."""


class ScopeMissing(DomainError):
    """The key lacks the scope for this."""

    code = "scope_missing"


class TenantSuspended(DomainError):
    """The tenant is suspended; ask whoever operates Daybook."""

    code = "tenant_suspended"


class CursorInvalid(DomainError):
    """The cursor is not one of this list with these filters."""

    code = "cursor_invalid"


class LogRewound(DomainError):
    """The log ends before this position."""

    code = "log_rewound"


class Busy(DomainError):
    """There is too much of it at once; try again."""

    code = "busy"


class UpgradeRequired(DomainError):
    """This is a WebSocket: come with `Upgrade: websocket`."""

    code = "upgrade_required"


class EtagMismatch(DomainError):
    """The webhook is not at the version that If-Match names."""

    code = "etag_mismatch"


class IdempotencyMismatch(DomainError):
    """This `Idempotency-Key` was sent with another request."""

    code = "idempotency_mismatch"


class RateLimited(DomainError):
    """There were too many requests in this minute."""

    code = "rate_limited"

    def __init__(self, policy: str, limit: int, seconds_left: int) -> None:
        self.seconds_left = max(1, seconds_left)
        super().__init__(f"{policy}: {limit:,} a minute, and they are used up")


class ReadModelBehind(DomainError):
    """What follows from this position is not there yet."""

    code = "read_model_behind"


class TooLarge(DomainError):
    """The body is larger than this path takes."""

    code = "too_large"


class WrongMediaType(DomainError):
    """The body must be application/json."""

    code = "media_type"


def unknown(name: str, *, parameter: bool = False, under: str = "#") -> Fault:
    """The fault of a member, or a parameter, that has no meaning here."""
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    place = shown if parameter else f"{under}/{escape(shown)}"
    return Fault(place, "unknown_field", "it is not known here", parameter)


def answer(
    request: Request[Any, Any, Any],
    code: str,
    detail: str | None,
    *,
    faults: tuple[Fault, ...] = (),
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The problem as a response."""
    status = PROBLEMS[code].status
    retry = RETRY_AFTER if status in (429, 503) else {}
    content = problem(
        code,
        detail,
        instance=request.scope["path"],
        request_id=edge.request_id(request.scope),
        faults=faults,
    )
    return Answer(
        msgspec.json.encode({**content, **(extra or {})}),
        status=status,
        media_type=_MEDIA_TYPE,
        headers={**retry, **(headers or {})},
    )


def problem(
    code: str,
    detail: str | None,
    *,
    instance: str,
    request_id: str,
    faults: Sequence[Fault] = (),
) -> dict[str, Any]:
    """A problem's members, wherever it is sent."""
    return {
        "type": f"/problems/{code}",
        "title": PROBLEMS[code].title,
        "status": PROBLEMS[code].status,
        "code": code,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        "errors": [_shown(fault) for fault in faults[:MOST_FAULTS]],
    }


def _shown(fault: Fault) -> dict[str, str]:
    place = "parameter" if fault.parameter else "pointer"
    return {place: fault.pointer, "code": fault.code, "detail": fault.detail}


def refused(request: Request[Any, Any, Any], error: DomainError) -> Answer:
    """What a refusal is answered with."""
    if error.code not in PROBLEMS:
        return _failed(request, error)
    extra: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, EventExists):
        extra["event"] = {"id": error.event_id, "position": error.position}
        headers["Location"] = f"/api/v1/events/{error.event_id}"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.seconds_left)
    if isinstance(error, IdempotencyRunning | Repeated):
        headers |= RETRY_AFTER
    if isinstance(error, UpgradeRequired):
        headers["Upgrade"] = "websocket"
    return answer(
        request,
        error.code,
        error.detail,
        faults=tuple(error.faults),
        extra=extra,
        headers=headers,
    )


def _malformed(request: Request[Any, Any, Any], error: MalformedJson) -> Answer:
    return answer(request, "malformed_json", str(error))


# Litestar's own refusals; all of them come before a handler runs, or for want of one.
_CODES = {
    401: "unauthenticated",
    403: "scope_missing",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "media_type",
}
_COLLECTIONS: dict[str, Prefix] = {
    "/api/v1/webhooks": "wh",
    "/api/v1/webhook-deliveries": "dlv",
    "/api/v1/replays": "rpl",
    "/api/v1/tenants": "ten",
    "/api/v1/keys": "key",
}
_DETAILS = {
    404: "there is nothing under this path",
    405: "this path has other methods",
    413: "the body is larger than this path takes",
}


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Answer:
    status, headers = error.status_code, dict(error.headers or {})
    if status >= 500:  # the client went away in the middle of its body
        log.info("request_cut_off")
        return answer(request, "internal", None)
    path = request.scope["path"]
    is_route = any(route.path == path for route in request.app.routes)
    if status == 405 and not is_route and _names_nothing(path):
        status, headers = 404, {}
    if "GET" in headers.get("allow", ""):
        headers["allow"] += ", HEAD"
    detail = _DETAILS.get(status, error.detail)
    return answer(request, _CODES.get(status, "invalid"), detail, headers=headers)


def _names_nothing(path: str) -> bool:
    """Whether a word stands where an id belongs: an absent one, whatever the method."""
    collection, _, last = path.rpartition("/")
    prefix = _COLLECTIONS.get(collection)
    return prefix is not None and not re.fullmatch(shapes.pattern(prefix), last)


def _failed(request: Request[Any, Any, Any], error: Exception) -> Answer:
    log.error(
        "request_failed",
        method=request.scope["method"],
        path=request.scope["path"],
        # As text: handed an exception, some renderers show local variables, keys too.
        exception=failure.stack(error),
    )
    return answer(request, "internal", "the operator finds the reason in the log")


_ANSWERS: dict[Any, Any] = {
    DomainError: refused,
    MalformedJson: _malformed,
    HTTPException: _http,
    Exception: _failed,
}
# Litestar asks for Responses, and uses nothing of them but what an Answer has.
HANDLERS: ExceptionHandlersMap = _ANSWERS


def answered(request: Request[Any, Any, Any], error: Exception) -> Answer:
    """What an error is answered with, as Litestar finds it in the table."""
    kind = next(kind for kind in _ANSWERS if isinstance(error, kind))
    answer: Answer = _ANSWERS[kind](request, error)
    return answer
