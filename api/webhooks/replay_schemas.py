"""What is sent to replay events, and how replays look."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from api.places import Place
from api.shapes import Time, WebhookId, pattern
from domain.webhooks.replay import State

ReplayId = Annotated[str, Meta(pattern=pattern("rpl"))]


class WantReplay(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which events of the past to owe: from `from` through `to`, or through the last there
    is now."""

    from_: Place = msgspec.field(name="from")
    to: Place | None = None
    event_types: Annotated[
        list[str] | None,
        Meta(
            description="patterns in the place of the webhook's own; its streams and "
            "its filter hold all the same"
        ),
    ] = None
    only_failed: Annotated[
        bool,
        Meta(
            description="leave out what was delivered once, and what is older than "
            "deliveries are kept"
        ),
    ] = False
    fresh_ids: Annotated[
        bool,
        Meta(
            description="`webhook-id` is `<event id>_<replay id>`, for receivers that "
            "would drop one they know"
        ),
    ] = False
    dry_run: Annotated[bool, Meta(description="only count")] = False


class ReplayPlace(Struct):
    """A position in the tenant's log."""

    position: int


class Replay(Struct, kw_only=True):
    """Events of the past owed to one webhook. `count` is how many there were when it was
    asked for, null where counting took too long; `position` is up to where the log was
    looked through."""

    id: ReplayId
    webhook_id: WebhookId
    state: State
    from_: ReplayPlace = msgspec.field(name="from")
    to: ReplayPlace
    event_types: list[str] | None
    only_failed: bool
    count: int | None
    handed_off: int
    succeeded: int
    dead: int
    position: int
    created_at: Time
    finished_at: Time | None


class DryReplay(Struct, kw_only=True):
    """What a replay would owe; `count` is null where counting took too long."""

    dry_run: bool
    count: int | None
    from_: ReplayPlace = msgspec.field(name="from")
    to: ReplayPlace


class ReplayPage(Struct):
    """A page of replays, newest first."""

    data: list[Replay]
    next: str | None
    prev: str | None
