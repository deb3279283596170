"""Places in the log as they are named in a body: its beginning, now, a position, a time."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api import shapes
from api.shapes import PositionIn, TimeIn
from domain.errors import Fault, Invalid
from projections.log import views
from projections.postgres import Connection


class At(Struct, frozen=True, forbid_unknown_fields=True):
    """A position, or a time: one of the two."""

    position: PositionIn | UnsetType = UNSET
    time: TimeIn | UnsetType = UNSET


Place = Annotated[
    Literal["beginning", "now"] | At,
    Meta(
        description="`beginning`, `now`, `{position}` or `{time}`; what is there counts"
    ),
]


def check(place: Place, pointer: str) -> list[Fault]:
    """What is wrong with a place by itself."""
    if not isinstance(place, At):
        return []
    if (place.position is UNSET) == (place.time is UNSET):
        return [Fault(pointer, "invalid", "a position or a time, one of the two")]
    if isinstance(place.time, datetime):
        return shapes.check_time(place.time, f"{pointer}/time")
    return []


async def first(
    connection: Connection, tenant_id: UUID, place: Place, head: int, pointer: str
) -> int:
    """The first position that is wanted when it begins there. Raises Invalid."""
    if not isinstance(place, At):
        return 1 if place == "beginning" else head + 1
    if isinstance(place.time, datetime):
        return await views.first_since(connection, tenant_id, place.time, head)
    return max(_within(place, head + 1, head, pointer), 1)


async def last(
    connection: Connection, tenant_id: UUID, place: Place, head: int, pointer: str
) -> int:
    """The last position that is wanted when it ends there. Raises Invalid."""
    if not isinstance(place, At):
        return 1 if place == "beginning" else head
    if isinstance(place.time, datetime):
        return await views.position_as_of(connection, tenant_id, place.time, head)
    return _within(place, head, head, pointer)


def _within(place: At, most: int, head: int, pointer: str) -> int:
    position = 0 if isinstance(place.position, UnsetType) else place.position
    if position > most:
        detail = f"the log ends at position {head}"
        raise Invalid([Fault(f"{pointer}/position", "invalid", detail)])
    return position
