"""What can be refused, one class a stable code; the API maps codes to statuses.

DomainError
├── Invalid                 a field breaks its rule (code: invalid, or a sharper one)
├── NotFound
├── VersionConflict         the stream is not where the caller thinks it is
├── EventExists             the event id was used with other content
├── CausationTooDeep
├── LimitReached
├── WebhookDisabled
├── IdempotencyRunning      a request with the same key has not ended yet
├── Repeated                another run of the request did it: this one did nothing
└── Unavailable             the database is away or the queue is full; nothing was stored
    ├── OutcomeUnknown      the database went away in the commit; repeating is safe
    └── Outdated            the catalogue has changed since the events were checked
"""

from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """One wrong place in what was sent: a JSON pointer, or a parameter's name."""

    pointer: str
    code: str
    detail: str
    parameter: bool = False


class RefusedEntry(NamedTuple):
    """One of several events that the log refuses together: which, from 0, and why."""

    number: int
    code: str
    detail: str


class DomainError(Exception):
    """Base of all refusals; the docstring is the message when none is given."""

    code = "internal"
    faults: Sequence[Fault] = ()
    refused: Sequence[RefusedEntry] = ()

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (self.__doc__ or "").strip()
        super().__init__(self.detail)


class Invalid(DomainError):
    """The request is not valid."""

    code = "invalid"

    def __init__(self, faults: Sequence[Fault], detail: str | None = None) -> None:
        self.faults = tuple(faults)
        codes = {fault.code for fault in faults}
        if len(codes) == 1:
            self.code = codes.pop()
        count = len(self.faults)
        plural = "1 field is" if count == 1 else f"{count} fields are"
        super().__init__(detail or f"{plural} wrong")


class NotFound(DomainError):
    """There is nothing here under this id."""

    code = "not_found"


class VersionConflict(DomainError):
    """The stream has moved on."""

    code = "version_conflict"

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        self.stream, self.expected, self.actual = stream, expected, actual
        super().__init__(
            f"stream {stream!r} is at version {actual}, not {expected}: "
            "read it again and decide anew"
        )


class EventExists(DomainError):
    """This event id is taken, with other content."""

    code = "event_exists"

    def __init__(self, event_id: str, position: int) -> None:
        self.event_id, self.position = event_id, position
        super().__init__(f"event {event_id} exists with other content")


class CausationTooDeep(DomainError):
    """The chain of causes is longer than 10 events; a loop is likely."""

    code = "causation_too_deep"


class LimitReached(DomainError):
    """The tenant's limit is reached."""

    code = "limit_reached"


class WebhookDisabled(DomainError):
    """The webhook is disabled: enable it first."""

    code = "webhook_disabled"


class IdempotencyRunning(DomainError):
    """A request with this Idempotency-Key is still running."""

    code = "idempotency_running"


class Repeated(DomainError):
    """Another run of this request has done it; this one did nothing."""

    code = "idempotency_running"


class Unavailable(DomainError):
    """The log cannot be reached; nothing was stored. Try again."""

    code = "unavailable"


class OutcomeUnknown(Unavailable):
    """The database went away during the commit; repeating with the same id is safe."""

    code = "outcome_unknown"


class Outdated(Unavailable):
    """The tenant's catalogue is changing; nothing was stored. Try again."""
