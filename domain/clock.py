"""Where the time is read (ids count their own milliseconds), and how it is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_told: ContextVar[datetime | None] = ContextVar("told", default=None)


def now() -> datetime:
    """The present, aware and in UTC."""
    return _told.get() or datetime.now(UTC)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """What aggregates decide within happened at `moment`: for telling what is past."""
    token = _told.set(moment)
    try:
        yield
    finally:
        _told.reset(token)


def rfc3339(moment: datetime) -> str:
    """`moment` (aware) as RFC 3339 in UTC with `Z` and six digits."""
    if moment.tzinfo is not UTC:  # most are, and it takes half of the time to find out
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z"
