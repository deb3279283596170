"""What is sent to publish events, and how events are shown."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from api.limits import BATCH_EVENTS
from api.pagination import PageQuery
from api.shapes import (
    MOST_INTEGER,
    Actor,
    AsOf,
    AtLeast,
    DeliveryId,
    EventId,
    PositionIn,
    Time,
    TimeIn,
    WebhookId,
    ruled,
)
from domain import grammar

# JSON that is kept byte for byte, so it is never decoded into values and encoded again.
_Object = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
_Metadata = Annotated[
    Raw,
    Meta(
        description="up to 50 members and 8 KiB; any JSON values",
        extra_json_schema={"type": ["object", "null"]},
    ),
]
_Type = Annotated[
    str,
    ruled(
        grammar.TYPE, "words of `A-Za-z0-9_-` joined by dots", but=r"daybook(?:\.|$)"
    ),
]
_Stream = Annotated[
    str, ruled(grammar.STREAM, "segments of `A-Za-z0-9._~:@+=-` joined by `/`")
]
_Id = Annotated[str, ruled(grammar.EVENT_ID, "8 to 64 of `A-Za-z0-9_-`")]
_Source = Annotated[str, ruled(grammar.SOURCE, "a URI reference")]
_SourceId = Annotated[str, ruled(grammar.SOURCE_ID, "unique with `source`")]
_Subject = Annotated[str, ruled(grammar.SUBJECT, "what or whom it is about")]


class PublishEvent(Struct, kw_only=True, forbid_unknown_fields=True):
    """An event to publish."""

    type: _Type
    data: _Object
    stream: Annotated[
        _Stream | None, Meta(description="left out: a stream of its own")
    ] = None
    id: Annotated[_Id | None, Meta(description="unique for ever; repeats are safe")] = (
        None
    )
    source: _Source | None = None
    expected_version: Annotated[
        Annotated[int, Meta(ge=0, le=MOST_INTEGER)] | None,
        Meta(description="refuse unless the stream is at this version; 0: new"),
    ] = None
    subject: _Subject | None = None
    occurred_at: TimeIn | None = None
    metadata: _Metadata = msgspec.field(default_factory=Raw)
    correlation_id: _Id | None = None
    causation_id: Annotated[
        _Id | None, Meta(description="the event that led to this one")
    ] = None


class PublishBatch(Struct, forbid_unknown_fields=True):
    """Events to publish in order, all or none."""

    events: Annotated[list[PublishEvent], Meta(min_length=1, max_length=BATCH_EVENTS)]


class CloudEvent(Struct, kw_only=True):
    """A CloudEvent 1.0 to publish. Extensions that are not named here become metadata."""

    specversion: Literal["1.0"]
    id: _SourceId
    source: _Source
    type: _Type
    data: _Object
    datacontenttype: Annotated[str | None, Meta(description="JSON in any case")] = None
    dataschema: _Source | None = None
    subject: _Subject | None = None
    time: TimeIn | None = None
    stream: Annotated[
        _Stream | None, Meta(description="left out: a stream of its own")
    ] = None
    correlationid: _Id | None = None
    causationid: Annotated[
        _Id | None, Meta(description="the event that led to this one")
    ] = None


CloudEventBatch = Annotated[
    list[CloudEvent], Meta(min_length=1, max_length=BATCH_EVENTS)
]
CloudEventData = _Object


class Published(Struct):
    """An event is in the log."""

    id: EventId
    position: int
    stream: str
    version: int
    recorded_at: Time


class PublishedInBatch(Published):
    """The same; `replayed` when it had been there before."""

    replayed: bool


class PublishedBatch(Struct):
    """All events of a batch are in the log, in the order they were sent."""

    events: list[PublishedInBatch]


class Event(Struct, kw_only=True):
    """An event as it was recorded."""

    id: EventId
    position: int
    type: str
    stream: str
    version: int
    source: str
    source_id: str | None
    subject: str | None
    data: _Object
    metadata: _Object
    occurred_at: Time
    recorded_at: Time
    actor: Actor
    correlation_id: str | None
    causation_id: str | None
    depth: int


class EventDelivery(Struct):
    """What became of an event at one webhook."""

    id: DeliveryId
    webhook_id: WebhookId
    state: str


class EventWithDeliveries(Event):
    """An event and its newest 100 deliveries."""

    deliveries: list[EventDelivery]


class EventPage(Struct):
    """A page of events, read up to `position`."""

    data: list[Event]
    next: str | None
    prev: str | None
    position: int


class EventQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which events to list."""

    after: Annotated[PositionIn | None, Meta(description="beyond this position")] = None
    before: Annotated[PositionIn | None, Meta(description="below this position")] = None
    type: Annotated[
        list[str] | None, Meta(description="patterns of types; repeat for more")
    ] = None
    stream: Annotated[
        list[str] | None, Meta(description="patterns of streams; repeat for more")
    ] = None
    subject: str | None = None
    since: Annotated[TimeIn | None, Meta(description="recorded then or later")] = None
    until: Annotated[TimeIn | None, Meta(description="recorded before")] = None
    as_of: AsOf = None
    order: Literal["asc", "desc"] = "asc"


class LiveQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which events to follow, and from where."""

    after: Annotated[
        PositionIn | None, Meta(description="beyond this position; left out: from now")
    ] = None
    type: Annotated[
        list[str] | None, Meta(description="patterns of types; repeat for more")
    ] = None
    stream: Annotated[
        list[str] | None, Meta(description="patterns of streams; repeat for more")
    ] = None
    subject: str | None = None
    ticket: Annotated[
        str | None, Meta(description="from `POST /api/v1/tickets`, in place of a key")
    ] = None


class Stream(Struct):
    """A stream; `position` and `updated_at` are its last event's."""

    stream: str
    version: int
    position: int
    updated_at: Time


class StreamPage(Struct):
    """A page of streams, by name."""

    data: list[Stream]
    next: str | None
    prev: str | None


class StreamQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which streams to list."""

    prefix: Annotated[
        str | None,
        Meta(
            description="names that begin with it; `$` begins those of Daybook itself"
        ),
    ] = None
    as_of: AsOf = None
    at_least: AtLeast = None


class StreamEventPage(EventPage):
    """A page of a stream's events; `version` is the stream's, not the page's."""

    stream: str
    version: int


class StreamEventQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """When the stream is looked at."""

    as_of: AsOf = None
