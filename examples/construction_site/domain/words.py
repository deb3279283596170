"""What ids, days and texts look like, in events and in what is sent; how rules refuse."""

from datetime import date
from typing import Annotated

from msgspec import Meta

from domain.errors import Fault, Invalid

ID = "[A-Za-z0-9_-]{1,64}"
Id = Annotated[str, Meta(pattern=f"^{ID}$")]
Day = Annotated[
    str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a day: 2026-11-20")
]
Line = Annotated[str, Meta(min_length=1, max_length=120)]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]


def refused(detail: str, pointer: str = "#") -> Invalid:
    """A rule's refusal, with the member that it is about."""
    return Invalid([Fault(pointer, "invalid", detail)], detail)


def day(text: str, pointer: str) -> date:
    """The day. Raises Invalid for a thirtieth of February."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refused("there is no such day", pointer) from None
