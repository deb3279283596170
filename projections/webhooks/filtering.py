"""Payload filters within the handoff: which events of a batch they refuse.

Judged in Python, in the batch's own transaction, so the answer is part of what is written
with the checkpoint. A filter is a function of the event alone: a batch that is undone and
comes again is judged alike, in whatever pieces.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import structlog

from domain import payload_filter
from domain.payload_filter import Filter
from domain.payload_path import Members
from projections.postgres import Connection
from projections.projection import Batch
from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "handoff.sql")
# A batch whose filters take longer is given up and comes again as two halves: its
# transaction keeps the checkpoint from everybody, and is cut off when idle for 5 s.
LONGEST_SECONDS = 1.0

log = structlog.get_logger("daybook.projection")


class TooSlow(RuntimeError):
    """The filters of this batch take too long: it must come again in smaller pieces."""


class Version(NamedTuple):
    """One version of a webhook, which has one filter for ever."""

    tenant_id: UUID
    webhook_id: UUID
    version: int


class Refused(NamedTuple):
    """What filters refused, as parameters of `hand_off`: a list a column."""

    tenants: list[UUID]
    webhooks: list[UUID]
    positions: list[int]


async def refused(connection: Connection, batch: Batch) -> Refused:
    """The (webhook, event) of a batch that match but for the payload. Raises TooSlow."""
    refusals = Refused([], [], [])
    cursor = await connection.execute(QUERIES["filters"], batch.params())
    filters = {Version(*row[:3]): read(row.filter) for row in await cursor.fetchall()}
    if not filters:
        return refusals
    columns = zip(*filters, strict=True)
    names = ("tenants", "webhooks", "versions")
    params = batch.params() | {
        name: list(column) for name, column in zip(names, columns, strict=True)
    }
    deadline = time.monotonic() + LONGEST_SECONDS
    # One event at a time in memory: a batch of large ones has hundreds of megabytes.
    async with (
        connection.cursor() as reader,
        # A generator, which must be ended before its transaction can be.
        aclosing(reader.stream(QUERIES["to_filter"], params)) as events,  # type: ignore[type-var]
    ):
        async for event in events:
            for webhook_id in _refusing(event, filters):
                refusals.tenants.append(event.tenant_id)
                refusals.webhooks.append(webhook_id)
                refusals.positions.append(event.position)
            if batch.size > 1 and time.monotonic() > deadline:
                raise TooSlow(f"{batch.size} events")
            await asyncio.sleep(0)  # filters take their time, and deliveries go on
    return refusals


def _refusing(event: Any, filters: Mapping[Version, Filter | None]) -> Iterator[UUID]:
    """The webhooks that do not want this event for what it says."""
    seen = members(event)
    for webhook_id, number in zip(event.webhooks, event.versions, strict=True):
        version = Version(event.tenant_id, webhook_id, number)
        if not holds(filters[version], seen, webhook_id):
            yield webhook_id


def members(event: Any) -> Members:
    """What a filter may ask of an event; a row that has all of it."""
    return Members(
        type=event.type,
        stream=event.stream,
        subject=event.subject,
        source=event.source,
        actor=event.actor,
        data=bytes(event.state),
        metadata=event.metadata and bytes(event.metadata),
    )


def holds(filter_: Filter | None, seen: Members, webhook_id: UUID) -> bool:
    """Whether the webhook wants the event; not, when its filter could not be read."""
    # Whatever is wrong with one tenant's filter, or one event, the handoff of everybody
    # goes on: what cannot be judged is not sent, for a filter may keep things back.
    try:
        return filter_ is not None and filter_.holds(seen)
    except Exception:
        log.exception("filter_failed", webhook=str(webhook_id))
        return False


@lru_cache(1000)
def read(text: str) -> Filter | None:
    """A stored filter; None for one that today's rules refuse."""
    try:
        return payload_filter.read(msgspec.json.decode(text))
    except Exception:
        log.exception("filter_broken")
        return None
