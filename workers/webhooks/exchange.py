"""One request from the first look at its URL to the Answer, the same for every sender.

A sender brings only its own way to talk, and the classes its library raises.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple

import structlog

from domain.webhooks import delivery
from domain.webhooks.delivery import AttemptError
from workers.webhooks.egress import Blocked, Guard, Unresolved
from workers.webhooks.sender import Answer, Outgoing

BODY_CAP = 64 * 1024  # bytes of an answer that are read; then the connection is closed
SNIPPET_CAP = 1024  # bytes of it that are kept
HEADERS_CAP = 32
HEADER_CAP = 1024  # characters of a value
NAME_CAP = 128  # and of a name
DETAIL_CAP = 200

_PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_log = structlog.get_logger("daybook.deliveries")


class Raised(NamedTuple):
    """What a client library raises."""

    unwritable: tuple[type[Exception], ...]  # it would not write this request
    unconnected: tuple[type[Exception], ...]  # it could not connect
    broken: tuple[type[Exception], ...]  # all else: the exchange broke off midway


class Exchange:
    """A request as it unfolds: what has been heard so far, should it then fail."""

    __slots__ = ("_began", "_headers", "_retry_after", "_size", "_snippet", "_status")

    def __init__(self) -> None:
        self._began = perf_counter()
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._retry_after: str | None = None
        self._size = 0
        self._snippet = b""

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Note the status and, within the caps, the headers."""
        self._status = status
        kept = self._headers
        for raw_name, raw_value in headers:
            name = raw_name[:NAME_CAP].decode("latin-1").lower()
            value = raw_value.decode("utf-8", "replace")[:HEADER_CAP]
            if name == "retry-after" and self._retry_after is None:
                self._retry_after = value
            if name in kept:
                kept[name] = f"{kept[name]}, {value}"[:HEADER_CAP]
            elif len(kept) < HEADERS_CAP:
                kept[name] = value

    def take(self, piece: bytes) -> bool:
        """Note a piece of the body; whether more is wanted."""
        if len(self._snippet) < SNIPPET_CAP:
            self._snippet += piece[: SNIPPET_CAP - len(self._snippet)]
        self._size = min(self._size + len(piece), BODY_CAP)
        return self._size < BODY_CAP

    def answered(self) -> Answer:
        """The receiver answered in full, or to the cap: its status decides."""
        status = self._status or 0
        phrase = _PHRASES.get(status) or str(status)
        error = delivery.error_of(status)
        if error == "redirect":
            phrase += "; redirects are not followed"
        return self._answer(error, phrase)

    def failed(self, error: AttemptError, detail: str) -> Answer:
        """There is no whole answer."""
        return self._answer(error, detail[:DETAIL_CAP])

    def _answer(self, error: AttemptError | None, detail: str) -> Answer:
        return Answer(
            self._status,
            error,
            detail,
            (perf_counter() - self._began) * 1000,
            self._retry_after,
            self._headers,
            self._size,
            self._snippet,
        )


async def conduct(
    request: Outgoing,
    guard: Guard,
    talk: Callable[[Outgoing, Exchange], Awaitable[None]],
    raised: Raised,
) -> Answer:
    """Let the sender `talk`, within the guard and the deadline."""
    exchange = Exchange()
    try:
        guard.check(request.url)
        async with asyncio.timeout(request.timeout_seconds):
            await talk(request, exchange)
    except Exception as problem:  # whatever a receiver does must become an Answer
        return exchange.failed(*_explain(problem, request, raised))
    return exchange.answered()


def _explain(
    problem: Exception, request: Outgoing, raised: Raised
) -> tuple[AttemptError, str]:
    # First, for the chain behind it may hold what an earlier address failed with.
    if isinstance(problem, TimeoutError):
        return "timeout", f"no answer within {request.timeout_seconds:g} s"
    for link in _causes(problem):
        if isinstance(link, Blocked):
            return "blocked", str(link)
        if isinstance(link, Unresolved):
            return "dns", str(link)
        if isinstance(link, ssl.SSLError) and not isinstance(link, ssl.SSLEOFError):
            return "tls", _tls_detail(link)
    if isinstance(problem, raised.unconnected):
        return "connect", "no connection could be made"
    if isinstance(problem, raised.unwritable):
        return "blocked", "the URL or a header cannot be sent"
    if not isinstance(problem, raised.broken):
        # Ours, most likely. The delivery is tried again; the fault must not hide in it.
        _log.error("sender.unexpected", exc_info=problem)
    return "reset", "the connection broke off, or the answer was not HTTP"


def _causes(problem: BaseException) -> list[BaseException]:
    """From the root to `problem`: the libraries' wrappers hide what the root says."""
    causes: list[BaseException] = []
    link: BaseException | None = problem
    while link is not None:
        causes.insert(0, link)
        link = link.__cause__ or link.__context__
    return causes


def _tls_detail(problem: ssl.SSLError) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"the certificate was refused: {problem.verify_message}"
    return "no TLS connection could be agreed on"
