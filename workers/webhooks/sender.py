"""What a sender is asked, what it answers, and the words every sender answers with.

Two senders live beside this file, one on aiohttp (fast) and one on httpx; the suite in
tests/conformance holds both to the same answers.
"""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Literal, Protocol

from workers.webhooks.egress import Blocked, Unresolved

Failure = Literal[
    "dns",
    "blocked",
    "connect",
    "tls",
    "timeout",
    "reset",
    "status",
    "redirect",
    "gone",
]

BODY_CAP = 64 * 1024  # bytes of an answer that are read; then the connection is closed
SNIPPET_CAP = 1024  # bytes of it that are kept
HEADERS_CAP = 32
HEADER_VALUE_CAP = 1024  # characters
DETAIL_CAP = 200  # characters

# Idle connections are given up before the receiver does: Node and uvicorn close theirs
# after 5 s, and a POST that meets the closing one is lost without having been read.
KEEPALIVE_SECONDS = 4.0
# A request beyond these waits for a free connection within its own deadline, so callers
# keep no more than this many in flight.
CONNECTIONS = 100

# Sent with every request unless the caller says otherwise. An answer is never unpacked
# (a few bytes could become gigabytes), so a packed one is not asked for.
STANDING_HEADERS = {"accept": "*/*", "accept-encoding": "identity"}

_PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request, complete: the sender adds Host, Content-Length and Accept only."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, success being `error is None`.

    A receiver that breaks off after its status line leaves both a `status_code` and an
    `error`. `detail` may be shown to the tenant: it tells nothing of our network.
    """

    status_code: int | None
    error: Failure | None
    detail: str
    duration_ms: float
    retry_after: str | None
    response_headers: Mapping[str, str]
    response_bytes: int
    snippet: bytes


class Sender(Protocol):
    """Sends one request at a time, any number concurrently; made inside a loop."""

    async def send(self, request: Outgoing) -> Answer:
        """Send it once; whatever happens is an Answer, never an exception."""
        ...

    async def close(self) -> None:
        """Close the idle connections; requests still in flight fail."""
        ...


class Exchange:
    """One request as it unfolds: what has been heard so far, should it then fail."""

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
            name = raw_name[:HEADER_VALUE_CAP].decode("latin-1").lower()
            value = raw_value.decode("utf-8", "replace")
            if name in kept:
                value = f"{kept[name]}, {value}"
            elif len(kept) == HEADERS_CAP and name != "retry-after":
                continue
            kept[name] = value[:HEADER_VALUE_CAP]
        self._retry_after = kept.get("retry-after")
        if len(kept) > HEADERS_CAP:
            del kept["retry-after"]

    def take(self, piece: bytes) -> bool:
        """Note a piece of the body; whether more is wanted."""
        if len(self._snippet) < SNIPPET_CAP:
            self._snippet += piece[: SNIPPET_CAP - len(self._snippet)]
        self._size = min(self._size + len(piece), BODY_CAP)
        return self._size < BODY_CAP

    def answered(self) -> Answer:
        """The receiver answered in full (or to the cap): its status decides."""
        status = self._status or 0
        phrase = _PHRASES.get(status) or str(status)
        if 200 <= status < 300:
            return self._answer(None, phrase)
        if 300 <= status < 400:
            return self._answer("redirect", f"{phrase}; redirects are not followed")
        return self._answer("gone" if status == 410 else "status", phrase)

    def failed(self, error: Failure, detail: str) -> Answer:
        """There is no whole answer."""
        return self._answer(error, detail[:DETAIL_CAP])

    def _answer(self, error: Failure | None, detail: str) -> Answer:
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


def explain(
    problem: Exception,
    timeout_seconds: float,
    *,
    unwritable: tuple[type[Exception], ...],
    unconnected: tuple[type[Exception], ...],
) -> tuple[Failure, str]:
    """The error and detail for what a client library raised.

    `unwritable` and `unconnected` are the library's classes for a request it would not
    write and for a connection it could not make; everything else broke off midway.
    """
    # First, for the chain behind it may hold what an earlier address failed with.
    if isinstance(problem, TimeoutError):
        return "timeout", f"no answer within {timeout_seconds:g} s"
    for link in _chain(problem):
        if isinstance(link, Blocked):
            return "blocked", str(link)
        if isinstance(link, Unresolved):
            return "dns", str(link)
        if isinstance(link, ssl.SSLError) and not isinstance(link, ssl.SSLEOFError):
            return "tls", _tls_detail(link)
    if isinstance(problem, unconnected):
        return "connect", "no connection could be made"
    if isinstance(problem, unwritable):
        return "blocked", "the URL or a header cannot be sent"
    return "reset", "the connection broke off, or the answer was not HTTP"


def _chain(problem: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = problem
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _tls_detail(problem: ssl.SSLError) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"the certificate was refused: {problem.verify_message}"
    return "no TLS connection could be agreed on"
