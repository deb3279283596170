"""What is sent to consumers, and how they look."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from api.places import Place
from api.shapes import Actor, PositionIn, Time
from domain import patterns


class PutConsumer(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which events a consumer is given; left out or null: the default."""

    event_types: Annotated[
        list[str] | None, Meta(description="patterns of types; all but Daybook's own")
    ] = msgspec.field(default_factory=lambda: [patterns.EVERYTHING])
    streams: Annotated[list[str] | None, Meta(description="patterns of streams")] = (
        msgspec.field(default_factory=lambda: [patterns.EVERYTHING])
    )
    filter: Annotated[
        dict[str, Any] | None, Meta(description="a payload filter, up to 4 KiB")
    ] = None
    start: Annotated[
        Place | None, Meta(description="where a new one begins; `now` by default")
    ] = None


class Consumer(Struct, kw_only=True):
    """A consumer as it is now. `position`: all up to there is done."""

    name: str
    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None
    start: Any
    position: int
    lag_events: Annotated[int, Meta(description="events in the log after `position`")]
    version: int
    created_by: Actor
    created_at: Time
    updated_at: Time


class ConsumerPage(Struct):
    """A page of consumers, oldest first."""

    data: list[Consumer]
    next: str | None
    prev: str | None


class ConsumerEventsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many events, and how long to wait for the first of them."""

    limit: Annotated[
        int, Meta(ge=1, le=500, description="how many events there are at most")
    ] = 50
    wait: Annotated[
        int, Meta(ge=0, le=20, description="seconds to wait when there is none")
    ] = 0


class Acknowledge(Struct, forbid_unknown_fields=True):
    """All up to this position is done."""

    position: PositionIn


class Seek(Struct, forbid_unknown_fields=True):
    """Where it is to go on."""

    to: Place
