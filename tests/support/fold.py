"""What follows from the log, folded from scratch: projections' answers, found another way.

Reads nothing but the log, in order, and knows nothing of ranges, patterns as rows, batches
or checkpoints.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from domain import patterns, payload_filter
from domain.payload_path import Members

LOG = """
    select tenant_id, position, stream, type, topic, state, metadata, subject, source, actor
    from daybook.events
"""


@dataclass
class Config:
    """A webhook as the events so far made it."""

    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None
    is_deleted: bool = False

    def matches(self, row: Any) -> bool:
        """Whether it wants the event."""
        if not patterns.matches(self.event_types, row.type):
            return False
        if not patterns.stream_matches(self.streams, row.stream):
            return False
        members = Members(
            type=row.type,
            stream=row.stream,
            subject=row.subject,
            source=row.source,
            actor=row.actor,
            data=row.state,
            metadata=row.metadata,
        )
        return payload_filter.read(self.filter or {}).holds(members)


@dataclass
class Fold:
    """(tenant, webhook stream, position) for everything that is owed."""

    webhooks: dict[tuple[UUID, str], Config] = field(default_factory=dict)
    owed: set[tuple[UUID, str, int]] = field(default_factory=set)

    def event(self, row: Any) -> None:
        """Owe it by the configuration before it; then let it change that."""
        for (tenant_id, stream), config in self.webhooks.items():
            if tenant_id != row.tenant_id or config.is_deleted:
                continue
            if row.stream == stream or row.stream.startswith(f"{stream}/"):
                continue  # about the webhook itself
            if config.matches(row):
                self.owed.add((tenant_id, stream, row.position))
        self._configure(row)

    def _configure(self, row: Any) -> None:
        key = (row.tenant_id, row.stream)
        match row.topic:
            case "daybook.webhook.created" | "daybook.webhook.updated":
                settings = msgspec.json.decode(row.state)["settings"]
                names = ("event_types", "streams", "filter")
                self.webhooks[key] = Config(*(settings[name] for name in names))
            case "daybook.webhook.deleted":
                self.webhooks[key].is_deleted = True


def fold_log(connection: psycopg.Connection[Any]) -> Fold:
    """The whole log, folded."""
    fold = Fold()
    rows = connection.execute(f"{LOG} order by log_position").fetchall()
    for row in rows:
        fold.event(row)
    return fold


def fold_streams(connection: psycopg.Connection[Any]) -> dict[tuple[UUID, str], Any]:
    """Where each stream is: (tenant, stream) to (version, position)."""
    rows = connection.execute(
        "select tenant_id, stream, version, position from daybook.events"
        " order by log_position"
    ).fetchall()
    return {(r.tenant_id, r.stream): (r.version, r.position) for r in rows}


def live_streams(connection: psycopg.Connection[Any]) -> dict[tuple[UUID, str], Any]:
    """The same as the read model has it."""
    rows = connection.execute(
        "select tenant_id, stream, version, position from daybook.stream_heads"
        " where generation = daybook.live_generation('streams')"
    ).fetchall()
    return {(r.tenant_id, r.stream): (r.version, r.position) for r in rows}
