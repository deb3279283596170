"""When an endpoint is left alone: the circuit, and the count that disables a webhook.

    closed ── 20 failures in a row ──▶ open ── a probe every 30 s ──▶ closed, if it succeeds

Both are told of every attempt in the order in which attempts are answered. Times are
seconds of one clock that the caller chooses; `Failing` outlives its process, so its caller
keeps a clock that others share.
"""

from typing import NamedTuple

from domain.webhooks.settings import DisableAfter

OPENS_AFTER = 20  # failures in a row
PROBE_SECONDS = 30.0
TOO_MANY_REQUESTS = 429


class Circuit:
    """Whether requests may be made; while it is open, one at a time as a probe."""

    def __init__(self, *, is_open: bool = False, now: float = 0.0) -> None:
        """One that another process left open begins with its probe."""
        self.is_open = is_open
        self._in_a_row = OPENS_AFTER if is_open else 0
        self._probe_at = now

    def room(self, now: float, in_flight: int) -> int | None:
        """How many requests may begin; None: as many as other limits let."""
        if not self.is_open:
            return None
        return int(now >= self._probe_at and in_flight == 0)

    def probe_at(self) -> float | None:
        """When the next probe may begin; None while it is closed."""
        return self._probe_at if self.is_open else None

    def succeeded(self) -> None:
        """The endpoint answered 2xx."""
        self.is_open, self._in_a_row = False, 0

    def failed(self, now: float, status_code: int | None) -> None:
        """It did not. Being asked to slow down is an answer: it opens no circuit."""
        if status_code == TOO_MANY_REQUESTS and not self.is_open:
            return
        self._in_a_row += 1
        if self._in_a_row >= OPENS_AFTER:
            self.is_open, self._probe_at = True, now + PROBE_SECONDS


class Failing(NamedTuple):
    """Failed attempts since the last that succeeded, and when the first of them was."""

    failures: int = 0
    since: float | None = None

    def failed(self, now: float, count: int = 1) -> "Failing":
        """After `count` more."""
        since = now if self.since is None else self.since
        return Failing(self.failures + count, since)

    def disables(self, limit: DisableAfter, now: float) -> bool:
        """Whether the webhook is to be disabled."""
        if self.since is None or self.failures < limit.failures:
            return False
        return now - self.since >= limit.over_seconds
