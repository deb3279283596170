"""Answers: msgspec's bytes straight to the server, and the headers that writes add.

An Answer is a whole ASGI application of two messages. Litestar's Response does much more
(cookies, background tasks, encodings, each looked for on every request), which costs a
publish a fifth of its time.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

import msgspec
from litestar.types import Receive, Scope, Send

_ENCODER = msgspec.json.Encoder()
_JSON = b"application/json"


class Answer:
    """A finished response; what routes and exception handlers return."""

    __slots__ = ("_headers", "body", "status")

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        media_type: bytes | None = _JSON,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body, self.status = body, status
        self._headers = [(b"content-length", b"%d" % len(body))]
        if media_type is not None:
            self._headers.append((b"content-type", media_type))
        if headers is not None:
            self.adding(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": self._headers,
            }
        )
        await send(
            {"type": "http.response.body", "body": self.body, "more_body": False}
        )

    @property
    def headers(self) -> dict[str, str]:
        """All of them but the length, by name in lower case."""
        return {
            name.decode(): value.decode("latin-1") for name, value in self._headers[1:]
        }

    def adding(self, headers: Mapping[str, str]) -> Self:
        """With these headers as well; returns itself."""
        for name, value in headers.items():
            self._headers.append((_lower(name), value.encode("latin-1")))
        return self

    def to_asgi_response(self, **_: Any) -> Self:
        """Itself: what Litestar asks of that which an exception handler returns."""
        return self


@lru_cache(100)
def _lower(name: str) -> bytes:
    return name.lower().encode()


def json(
    content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """`content` as JSON; a msgspec.Raw within it is spliced in as it is."""
    return Answer(_ENCODER.encode(content), status=status, headers=headers)


def done(last: int) -> Answer:
    """Nothing to show; what was done is in the log up to this position."""
    return Answer(b"", status=204, media_type=None, headers=position(last))


def position(last: int) -> dict[str, str]:
    """The header that says up to where the log holds what a write changed."""
    return {"Daybook-Position": str(last)}
