"""What a sender is asked and what it answers.

Two senders live beside this file, one on aiohttp (fast) and one on httpx; the suite in
tests/conformance holds both to the same answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.webhooks.delivery import AttemptError

# A request beyond these waits for a free connection within its own deadline, so callers
# keep no more than this many in flight.
CONNECTIONS = 100
# Idle connections are given up before the receiver does: Node and uvicorn close theirs
# after 5 s, and a POST that meets the closing one is lost without having been read.
KEEPALIVE_SECONDS = 4.0
# Sent with every request unless the caller says otherwise. An answer is never unpacked
# (a few bytes could become gigabytes), so a packed one is not asked for.
STANDING_HEADERS = {"accept": "*/*", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request, complete: the sender adds Host, Content-Length and Accept only.

    The deadline covers everything: name, connection, TLS, request and answer. `networks`:
    the blocks in one of which the host's every address must lie; None: anywhere.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_seconds: float
    networks: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request; `error is None` means that it was answered 2xx in full.

    A receiver that breaks off after its status line leaves both a `status_code` and an
    `error`. `detail` may be shown to the tenant: it tells nothing of our network.
    """

    status_code: int | None
    error: AttemptError | None
    detail: str
    duration_ms: float
    retry_after: str | None
    response_headers: Mapping[str, str]
    response_bytes: int
    snippet: bytes


class Sender(Protocol):
    """Sends any number of requests side by side; made inside the loop it is used in."""

    async def send(self, request: Outgoing) -> Answer:
        """Send it once; whatever happens is an Answer, never an exception."""
        ...

    async def close(self) -> None:
        """Close the idle connections; requests still in flight fail."""
        ...
