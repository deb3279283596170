"""The filters that several lists share: patterns, and times as positions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from api import shapes
from domain import grammar
from domain.errors import Fault, Invalid
from domain.webhooks import patterns
from projections.log import views
from projections.postgres import Connection


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


def _of_parameter(name: str, faults: Sequence[Fault]) -> list[Fault]:
    return [Fault(name, fault.code, fault.detail, parameter=True) for fault in faults]
