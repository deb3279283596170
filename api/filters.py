"""The filters that several lists share: patterns, and times as positions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from api import shapes
from api.errors import LogRewound
from domain import grammar, patterns
from domain.errors import Fault, Invalid
from projections.log import views
from projections.postgres import Connection

_DIGITS = 17  # more than any position has; so many make it too large, as they should


def check(
    *,
    types: Sequence[str] | None = None,
    streams: Sequence[str] | None = None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> None:
    """Raise Invalid when a filter makes no sense."""
    faults: list[Fault] = []
    if types is not None:
        faults += _of_parameter("type", patterns.check(types))
    if streams is not None:
        faults += _of_parameter("stream", patterns.check_streams(streams))
    if subject is not None:
        faults += _of_parameter("subject", grammar.check_subject(subject))
    for name, moment in (("since", since), ("until", until)):
        if moment is not None:
            faults += shapes.check_time(moment, name, parameter=True)
    if faults:
        raise Invalid(faults)


async def span(
    connection: Connection,
    tenant_id: UUID,
    head: int,
    *,
    since: datetime | None,
    until: datetime | None,
) -> tuple[int, int]:
    """The first and the last position recorded from `since` to before `until`."""
    first, last = 1, head
    if since is not None:
        first = await views.first_since(connection, tenant_id, since, head)
    if until is not None:
        last = await views.first_since(connection, tenant_id, until, head) - 1
    return first, last


def place(text: str, parameter: str = "as_of") -> int | datetime:
    """A place in a query: digits are a position, else it is a time. Raises Invalid."""
    try:
        if text.isascii() and text.isdigit():
            return msgspec.convert(int(text[:_DIGITS]), shapes.PositionIn)
        moment = msgspec.convert(text, shapes.TimeIn)
    except msgspec.ValidationError:
        detail = "it is a position or a time with an offset"
        raise Invalid([Fault(parameter, "invalid", detail, parameter=True)]) from None
    if faults := shapes.check_time(moment, parameter, parameter=True):
        raise Invalid(faults)
    return moment


async def as_of(
    connection: Connection, tenant_id: UUID, wanted: int | datetime | None, head: int
) -> int:
    """The last position that had been recorded then. Raises LogRewound."""
    if isinstance(wanted, datetime):
        return await views.position_as_of(connection, tenant_id, wanted, head)
    if wanted is not None and wanted > head:
        raise LogRewound(f"the log ends at position {head}")
    return head if wanted is None else wanted


def _of_parameter(name: str, faults: Sequence[Fault]) -> list[Fault]:
    return [Fault(name, fault.code, fault.detail, parameter=True) for fault in faults]
