"""What goes over a WebSocket: each message says by `op` what it is."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.components import Problem
from api.log.schemas import Event
from api.shapes import PositionIn

_Patterns = list[str] | str | None


class Start(Struct, kw_only=True, forbid_unknown_fields=True):
    """A WebSocket's first and only message from its client, within 5 seconds."""

    op: Literal["start"]
    token: Annotated[str, Meta(description="an API key, or a ticket")]
    after: Annotated[
        PositionIn | None, Meta(description="beyond this position; left out: from now")
    ] = None
    type: Annotated[_Patterns, Meta(description="patterns of types, or one")] = None
    stream: Annotated[_Patterns, Meta(description="patterns of streams, or one")] = None
    subject: str | None = None


class Ready(Struct, tag_field="op", tag="ready"):
    """It has begun: what comes after this position follows."""

    position: int


class Live(Struct, tag_field="op", tag="event"):
    """An event, as everywhere."""

    event: Event


class Ping(Struct, tag_field="op", tag="ping"):
    """Every 15 seconds: all up to here was sent, or is not wanted."""

    position: int


class Refusal(Struct, tag_field="op", tag="problem"):
    """Why it ends. The close that follows has the code 4000 and the problem's status."""

    problem: Problem
