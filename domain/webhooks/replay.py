"""A replay: events of the past, owed to one webhook again, or for the first time."""

from typing import Literal
from uuid import UUID

from eventsourcing.domain import event
from msgspec import Struct

from domain import ids, model
from domain.model import Aggregate
from domain.webhooks import subscription

# start: what is older than the webhook, asked for when it was made.
Kind = Literal["replay", "start"]
State = Literal["running", "completed", "cancelled", "failed"]

MOST_RUNNING = 4  # a tenant


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events a replay owes. Both positions count; `to_position` None: up to where
    the replay is asked for. `event_types` None: the webhook's own. `count`: how many there
    were when it was asked for, as far as anybody counted."""

    from_position: int
    to_position: int | None = None
    event_types: list[str] | None = None
    only_failed: bool = False
    fresh_ids: bool = False
    count: int | None = None


class Replay(Aggregate):
    """What was asked for, and that it ended. How far it is stands elsewhere.

    Which events it owes is pinned here and by its place in the log: they are those that
    match the webhook as it was at that place. So it may be carried out at any time, and in
    any number of pieces, with the same outcome.
    """

    TOPIC = "daybook/replay"

    @event("Created", topic="daybook.replay.requested")
    def __init__(
        self,
        id: str,
        kind: Kind,
        from_position: int,
        to_position: int | None,
        event_types: list[str] | None,
        only_failed: bool,
        fresh_ids: bool,
        count: int | None,
    ) -> None:
        """Of kind start, `to_position` None is the webhook's own beginning."""
        self.is_running = True

    def complete(self, handed_off: int, succeeded: int, dead: int) -> None:
        """All of it was handed off and is finished. Nothing happens when it has ended."""
        if self.is_running:
            self._complete(handed_off, succeeded, dead)

    @event("Completed", topic="daybook.replay.completed")
    def _complete(self, handed_off: int, succeeded: int, dead: int) -> None:
        self.is_running = False

    def cancel(self) -> None:
        """Owe nothing more; what waits is cancelled. Nothing happens when it has ended."""
        if self.is_running:
            self._cancel()

    @event("Cancelled", topic="daybook.replay.cancelled")
    def _cancel(self) -> None:
        self.is_running = False


def stream(webhook_id: UUID, replay_id: UUID) -> str:
    """Its stream: below the webhook's, so that none of it is ever owed to that webhook."""
    return f"{subscription.stream(webhook_id)}/replay/{ids.encode('rpl', replay_id)}"


def originator_id(tenant_id: UUID, webhook_id: UUID, replay_id: UUID) -> str:
    """The library's name for its stream."""
    return model.originator_id(tenant_id, stream(webhook_id, replay_id))


def parse_stream(text: str) -> tuple[UUID, UUID]:
    """Which webhook and which replay a stream is of."""
    _, webhook, _, replay = text.split("/")
    return ids.decode("wh", webhook), ids.decode("rpl", replay)
