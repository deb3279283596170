"""What is sent to declare event types, and how they look."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from api.shapes import EventId, PositionIn


class DeclareEventType(Struct, kw_only=True, forbid_unknown_fields=True):
    """What events of a type mean, what they must hold, and what they keep secret."""

    description: str | None = None
    schema: Annotated[
        dict[str, Any] | None,
        Meta(
            description="JSON Schema 2020-12 that `data` must keep from the next event "
            "on. It stands by itself: `$ref` is `#/...`. `format` is an annotation."
        ),
    ] = None
    example: Annotated[
        dict[str, Any] | None,
        Meta(description="what `data` may look like; it keeps the schema"),
    ] = None
    deprecated: bool | None = False
    secret_fields: Annotated[
        list[str] | None,
        Meta(
            description="JSON pointers into `data`, where a step `*` is every member or "
            "item; what they name is left out of the bodies that webhooks are sent"
        ),
    ] = None


class DeclareQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether to declare, or only to see what it would mean."""

    dry_run: Annotated[
        bool,
        Meta(
            description="declare nothing; tell which recorded events break the schema"
        ),
    ] = False
    after: Annotated[
        PositionIn | None,
        Meta(description="with `dry_run`: look beyond this position only"),
    ] = None


class EventType(Struct, kw_only=True):
    """A type of event: declared, seen in the log, or recorded by commands (`system`)."""

    type: str
    description: str | None
    schema: dict[str, Any] | None
    schema_version: int | None
    example: dict[str, Any] | None
    deprecated: bool
    secret_fields: list[str]
    declared: bool
    system: bool


class Broken(Struct):
    """A place in `data` that breaks a schema."""

    pointer: str
    detail: str


class BreakingEvent(Struct):
    """A recorded event that breaks a schema."""

    id: EventId
    position: int
    errors: list[Broken]


class DryRun(Struct):
    """Which recorded events a schema would refuse, up to `position`: the first hundred.

    `breaking` counts them all. When `complete` is false, ask on with `after`.
    """

    dry_run: bool
    checked: int
    breaking: int
    position: int
    complete: bool
    data: list[BreakingEvent]


class EventTypePage(Struct):
    """A page of event types, by name."""

    data: list[EventType]
    next: str | None
    prev: str | None
