"""What goes into the log, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from domain import ids

# The topic of everything that comes in by the publish API. Projections and aggregates
# dispatch on topics, which a publisher cannot choose.
PUBLISHED = "published"
DEFAULT_SOURCE = "/daybook"


class Entry(Struct, frozen=True, kw_only=True):
    """One event on its way into the log. `state` and `metadata` are JSON bytes.

    With a `source_id` it is known by that and its source, else by its `event_id`. `trace`
    is that of its publisher, packed (see domain.traces).
    """

    tenant_id: UUID
    event_id: str
    stream: str
    type: str
    state: bytes
    topic: str = PUBLISHED
    expected_version: int | None = None
    metadata: bytes | None = None
    source: str | None = None
    source_id: str | None = None
    subject: str | None = None
    actor: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    occurred_at: datetime | None = None
    fingerprint: bytes | None = None
    trace: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes it takes in a group, roughly: what the group's limit counts."""
        return 256 + len(self.state) + len(self.metadata or b"")


class Statement(NamedTuple):
    """An SQL statement and its parameters, opaque to the domain."""

    sql: Any
    params: dict[str, Any]


class Appended(NamedTuple):
    """The log's answer for one entry; `replayed` when it had been there before."""

    event_id: str
    log_position: int
    position: int
    stream: str
    version: int
    recorded_at: datetime
    replayed: bool = False


@dataclass(slots=True)
class Claim:
    """One run of what an `Idempotency-Key` names: written down with what it does.

    `done` is what an earlier run had done already, when it was lost before its answer was
    kept: then nothing is done again.
    """

    owner: UUID  # whose key it is
    key: str
    fingerprint: bytes  # of the request
    run: UUID
    made: UUID  # the id of what the request makes, so that every run has the same one
    done: Sequence[Appended] | None = None
    is_kept: bool = False  # nothing is left to write down for a repeat to be answered


class Context:
    """Who asks and what else belongs to the same transaction.

    `riders` are written with the events or not at all. `receipts` are the log's answers,
    filled in by the recorder. With a `claim` it is all done once, however often it is
    asked for.
    """

    def __init__(
        self,
        actor: str,
        *,
        riders: Sequence[Statement] = (),
        operator: bool = False,
        claim: Claim | None = None,
    ) -> None:
        self.actor = actor
        self.riders = tuple(riders)
        self.operator = operator
        self.claim = claim
        self.receipts: list[Appended] = []

    @property
    def position(self) -> int | None:
        """The last position that was written; None when nothing had to change."""
        return self.receipts[-1].position if self.receipts else None


def key_actor(key_id: UUID) -> str:
    """The actor string of an API key."""
    return f"key:{ids.encode('key', key_id)}"


def platform_actor(key_id: UUID) -> str:
    """The actor string of a platform key; for which tenant it acts, the log itself says."""
    return f"platform:{ids.encode('key', key_id)}"


OPERATOR = "operator"
SYSTEM = "system"


def describe_actor(actor: str | None) -> dict[str, str | None]:
    """An actor string as the API shows it: `{"type", "id"}`."""
    kind, _, identity = (actor or SYSTEM).partition(":")
    return {"type": kind, "id": identity or None}
