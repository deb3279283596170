"""Types that the public shapes of all contexts are made of."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from domain import clock, ids
from domain.errors import Fault, NotFound
from domain.grammar import Rule
from domain.ids import LENGTH, Prefix
from domain.log import entry

MOST_INTEGER = 2**53 - 1  # beyond it JSON readers in JavaScript round
_FIRST_YEAR = 1000  # earlier ones are not written with four digits everywhere

# Out: RFC 3339, UTC, six digits. In: any offset, but never without one.
Time = Annotated[
    str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})
]
TimeIn = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
PositionIn = Annotated[
    int, Meta(ge=0, le=MOST_INTEGER, description="a position in the tenant's log")
]
AsOf = Annotated[
    str | None,
    Meta(description="as it was then: a position (digits), or a time (RFC 3339)"),
]


AtLeast = Annotated[
    PositionIn | None,
    Meta(
        description="wait, 2 s at most, until what follows from the log up to this "
        "position is shown: `Daybook-Position` of a write"
    ),
]


class FollowingQuery(Struct, forbid_unknown_fields=True):
    """What is read as it follows from the log."""

    at_least: AtLeast = None


class Nothing(Struct, forbid_unknown_fields=True):
    """An empty object, or no body at all."""


def pattern(prefix: Prefix) -> str:
    """What ids of a kind look like, as a regular expression."""
    return f"^{prefix}_[0-9a-z]{{{LENGTH}}}$"


WebhookId = Annotated[str, Meta(pattern=pattern("wh"))]
DeliveryId = Annotated[str, Meta(pattern=pattern("dlv"))]
AttemptId = Annotated[str, Meta(pattern=pattern("att"))]
KeyId = Annotated[str, Meta(pattern=pattern("key"))]
TenantId = Annotated[str, Meta(pattern=pattern("ten"))]
ErrorId = Annotated[str, Meta(pattern="^[0-9]{1,19}$")]
EventId = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,64}$")]


class Actor(Struct):
    """Who did it."""

    type: str
    id: KeyId | None


def actor(stored: str | None) -> Actor:
    """The actor string of an event or a webhook as it is shown."""
    described = entry.describe_actor(stored)
    return Actor(described["type"] or entry.SYSTEM, described["id"])


def ruled(rule: Rule, about: str | None = None, *, but: str = "") -> Meta:
    """What a text must keep, told to clients; that it does is for the grammar to check.

    `but` is what it must not begin with, as a regular expression.
    """
    pattern = rule.shape.pattern.replace(r"\Z", "$")
    kept = {"pattern": f"^{f'(?!{but})' if but else ''}{pattern}$"}
    limits = {"minLength": 1, "maxLength": rule.longest}
    return Meta(description=about, extra_json_schema={**kept, **limits})


def parse(prefix: Prefix, text: str) -> UUID:
    """What an id in a path names; a malformed one is an absent one. Raises NotFound."""
    try:
        return ids.decode(prefix, text)
    except ids.MalformedId:
        raise NotFound from None


def time(moment: datetime) -> str:
    """A moment as it is shown."""
    return clock.rfc3339(moment)


def time_or_none(moment: datetime | None) -> str | None:
    """The same where there may be none."""
    return None if moment is None else clock.rfc3339(moment)


def check_time(moment: datetime, place: str, *, parameter: bool = False) -> list[Fault]:
    """Whether the database and every reader can hold it, whatever its offset."""
    try:
        is_fine = moment.astimezone(UTC).year >= _FIRST_YEAR
    except OverflowError:
        is_fine = False
    if is_fine:
        return []
    return [Fault(place, "invalid", "a time is in the years 1000 to 9999", parameter)]
