"""Where the time is read (ids count their own milliseconds), and how it is written."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`moment` (aware) as RFC 3339 in UTC with `Z` and six digits."""
    if moment.tzinfo is not UTC:  # most are, and it takes half of the time to find out
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z"
