"""Rows of webhooks, deliveries and event types in their public shapes."""

from typing import Literal

from api import shapes
from api.system_types import SystemType, Types
from api.webhooks import settings
from api.webhooks.schemas import (
    Delivery,
    Disabled,
    Webhook,
)
from api.webhooks.type_schemas import EventType
from domain import grammar, ids
from domain.webhooks.headers import HIDDEN
from projections.webhooks import deliveries, views


def webhook(row: views.Webhook, secret: str | None = None) -> Webhook:
    """A webhook; its secret only when it has just been made."""
    return Webhook(
        id=ids.encode("wh", row.webhook_id),
        url=row.url,
        name=row.name,
        description=row.description,
        event_types=row.event_types,
        streams=row.streams,
        filter=row.filter,
        format=row.format,
        signing=row.signing,
        headers=dict.fromkeys(row.header_names, HIDDEN),
        retry=settings.own_retry(row),
        timeout_seconds=row.timeout_seconds,
        rate_per_second=row.rate_per_second,
        max_in_flight=row.max_in_flight,
        ordering=row.ordering,
        on_dead=row.on_dead,
        disable_after=settings.disable_after(row),
        keep_response=row.keep_response,
        networks=row.networks,
        metadata=row.metadata,
        state="active" if row.state == "active" else "disabled",
        health=_health(row),
        disabled=_disabled(row),
        version=row.version,
        created_by=shapes.actor(row.created_by),
        created_at=shapes.time(row.created_at),
        updated_at=shapes.time(row.updated_at),
        public_key=row.public_key if "v1a" in row.signing else None,
        secret=secret,
    )


def _health(row: views.Webhook) -> Literal["ok", "failing", "open"]:
    if row.is_open:
        return "open"
    return "failing" if row.is_failing else "ok"


def delivery(row: deliveries.Delivery) -> Delivery:
    """A delivery without its attempts."""
    return Delivery(
        id=ids.delivery(row.key),
        webhook_id=ids.encode("wh", row.webhook_id),
        webhook_version=row.webhook_version,
        event_id=row.event_id,
        type=row.type,
        stream=row.stream,
        position=row.position,
        sequence=row.sequence,
        replay_id=ids.encode("rpl", row.replay_id) if row.replay_id else None,
        state=row.state,
        attempt_count=row.attempts,
        next_attempt_at=shapes.time_or_none(row.next_attempt_at),
        status_code=row.status_code,
        error=row.error,
        created_at=shapes.time(row.created_at),
        finished_at=shapes.time_or_none(row.finished_at),
    )


def event_type(name: str, row: views.EventType | None, own: Types) -> EventType:
    """A type of event, declared or not. `own`: those that commands record."""
    if name in own:
        return _own_type(name, own[name])
    return EventType(
        type=name,
        description=row.description if row else None,
        schema=row.schema if row else None,
        schema_version=row.schema_version if row else None,
        example=row.example if row else None,
        deprecated=bool(row and row.deprecated),
        secret_fields=row.secret_fields if row else [],
        declared=row is not None,
        system=grammar.is_reserved(name),
    )


def _own_type(name: str, own: SystemType) -> EventType:
    return EventType(
        type=name,
        description=own.description,
        schema=own.schema,
        schema_version=own.version,
        example=own.example,
        deprecated=False,
        secret_fields=[],
        declared=False,
        system=True,
    )


def _disabled(row: views.Webhook) -> Disabled | None:
    if row.disabled_at is None or row.disabled_position is None:
        return None
    return Disabled(
        at=shapes.time(row.disabled_at),
        reason=row.disabled_reason or "manual",
        position=row.disabled_position,
    )
