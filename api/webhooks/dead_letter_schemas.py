"""What is sent to redrive dead deliveries, and what is answered."""

from typing import Annotated

from msgspec import Meta, Struct

from api.shapes import TimeIn

MOST_IDS = 1000


class WantRedrive(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which dead deliveries: all of them, or those with these ids, or those created from
    `since` to before `until`."""

    since: TimeIn | None = None
    until: TimeIn | None = None
    delivery_ids: Annotated[
        Annotated[list[str], Meta(max_length=MOST_IDS)] | None,
        Meta(description="at most 1,000; those of what is not dead are passed over"),
    ] = None
    all: bool = False


class Redriven(Struct):
    """How many are owed again."""

    count: int
