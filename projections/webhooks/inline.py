"""Webhooks and event types, posted in the transaction of their events.

With each change the ranges move: what was in force ends at the event's own position, what
is new begins after it. The handoff reads nothing else, so what is owed is a function of the
log, however late or often it runs.
"""

from typing import Any

from psycopg.types.json import Json, Jsonb

from domain import ids, patterns
from domain.log.entry import Statement
from domain.webhooks import event_type, replay, subscription
from projections.inline import Posting, Posts
from projections.sql import Queries

QUERIES = Queries("projections.webhooks")


def _params(event: Posting) -> dict[str, Any]:
    return {
        "tenant_id": event.tenant_id,
        "webhook_id": ids.decode("wh", event.stream.rpartition("/")[2]),
        "event_id": event.event_id,
        "version": event.version,
        "actor": event.actor,
        "at": event.occurred_at,
    }


def _settings(event: Posting) -> dict[str, Any]:
    settings: dict[str, Any] = event.data["settings"]
    after: dict[str, Any] = settings["disable_after"]
    chosen = settings["filter"]
    others = {
        "filter": None if chosen is None else Jsonb(chosen),
        "retry": Jsonb(settings["retry"]),
        "metadata": Jsonb(settings["metadata"]),
        "patterns": patterns.normalise(settings["event_types"]),
    }
    return _params(event) | settings | after | others


def _statements(params: dict[str, Any], *names: str) -> list[Statement]:
    return [Statement(QUERIES[name], params) for name in names]


def _created(event: Posting) -> list[Statement]:
    params = _settings(event) | {"most": subscription.MOST_WEBHOOKS}
    names = (
        "insert_webhook",
        "require_room",
        "insert_lane",
        "insert_sequence",
        "insert_version",
        "open_ranges",
    )
    return _statements(params, *names)


def _updated(event: Posting) -> list[Statement]:
    names = ("update_webhook", "close_ranges", "insert_version", "open_ranges", "poke")
    return _statements(_settings(event), *names)


def _secret_rotated(event: Posting) -> list[Statement]:
    # Workers keep what they read of a version: another one tells them to read again.
    return _statements(_params(event), "renew_webhook", "poke")


def _enabled(event: Posting) -> list[Statement]:
    names = ["enable_webhook", "forget_failures"]
    if event.data["resume"] == "skip":
        names.append("skip_waiting")
    return _statements(_params(event), *names, "poke")


def _disabled(event: Posting) -> list[Statement]:
    params = _params(event) | {"reason": event.data["reason"]}
    return _statements(params, "disable_webhook", "poke")


def _deleted(event: Posting) -> list[Statement]:
    return _statements(
        _params(event), "delete_webhook", "close_ranges", "cancel_replays", "poke"
    )


def _replay_params(event: Posting) -> dict[str, Any]:
    webhook_id, replay_id = replay.parse_stream(event.stream)
    return {
        "tenant_id": event.tenant_id,
        "webhook_id": webhook_id,
        "replay_id": replay_id,
        "event_id": event.event_id,
        "actor": event.actor,
        "at": event.occurred_at,
    }


def _replay_requested(event: Posting) -> list[Statement]:
    chosen = event.data["event_types"]
    params = _replay_params(event) | event.data
    params |= {
        "patterns": None if chosen is None else patterns.normalise(chosen),
        "most": replay.MOST_RUNNING,
    }
    names = (
        "require_webhook",
        "insert_replay",
        "require_replay_room",
        "insert_replay_lane",
        "poke",
    )
    return _statements(params, *names)


def _replay_completed(event: Posting) -> list[Statement]:
    params = _replay_params(event) | {"state": "completed"}
    return _statements(params, "end_replay", "poke")


def _replay_cancelled(event: Posting) -> list[Statement]:
    params = _replay_params(event) | {"state": "cancelled"}
    return _statements(params, "end_replay", "poke")


def _told(event: Posting) -> list[Statement]:
    """A report is only read; what it counts is a rider of the command that tells."""
    return []


def _declared(event: Posting) -> list[Statement]:
    data = event.data
    params = {
        "tenant_id": event.tenant_id,
        "event_id": event.event_id,
        "type": data["type"],
        "description": data["description"],
        # As it was sent: Jsonb would have its members in another order.
        "schema": None if data["schema"] is None else Json(data["schema"]),
        "schema_version": data["schema_version"],
        "example": None if data["example"] is None else Jsonb(data["example"]),
        "deprecated": data["deprecated"],
        "secret_fields": data["secret_fields"],
        "version": event.version,
        "at": event.occurred_at,
        "most": event_type.MOST_SCHEMAS,
    }
    names = (
        "declare_event_type",
        "require_room_for_schema",
        "move_catalogue",
        "close_secret_fields",
        "open_secret_fields",
    )
    return _statements(params, *names)


POSTS: Posts = {
    "daybook.webhook.created": _created,
    "daybook.webhook.updated": _updated,
    "daybook.webhook.secret_rotated": _secret_rotated,
    "daybook.webhook.enabled": _enabled,
    "daybook.webhook.disabled": _disabled,
    "daybook.webhook.deleted": _deleted,
    "daybook.replay.requested": _replay_requested,
    "daybook.replay.completed": _replay_completed,
    "daybook.replay.cancelled": _replay_cancelled,
    "daybook.delivery.dead": _told,
    "daybook.event_type.declared": _declared,
    "daybook.event_type.updated": _declared,
}
