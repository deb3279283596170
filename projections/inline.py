"""The inline models: rows written in the transaction of the event that changes them.

Configuration (tenants, keys, webhooks, event types) must hold for the next request and the
next event, so it may not lag behind the log. Each context says, for each of its topics,
which statements post an event; the recorder sends them with the append. They are functions
of the event alone, so the models can still be built again from the log.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.log.entry import Statement


class Posting(NamedTuple):
    """An event of Daybook's own, as an inline model sees it."""

    tenant_id: UUID
    event_id: str
    stream: str
    version: int
    topic: str
    data: dict[str, Any]
    actor: str
    occurred_at: datetime


Post = Callable[[Posting], list[Statement]]
Posts = Mapping[str, Post]
