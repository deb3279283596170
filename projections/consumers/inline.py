"""Consumers, posted in the transaction of their events.

Their places are rows of their own. What events say of a place is written here; what is
acknowledged in between is not in the log, so places are never made again from it.
"""

from typing import Any

from psycopg.types.json import Json

from domain.consumers import consumer
from domain.log.entry import Statement
from projections.inline import Posting, Posts
from projections.sql import Queries

QUERIES = Queries("projections.consumers")


def _params(event: Posting) -> dict[str, Any]:
    return {
        "tenant_id": event.tenant_id,
        "name": event.stream.removeprefix(consumer.STREAM),
        "event_id": event.event_id,
        "version": event.version,
        "actor": event.actor,
        "at": event.occurred_at,
    }


def _settings(event: Posting) -> dict[str, Any]:
    settings: dict[str, Any] = event.data["settings"]
    chosen = None if settings["filter"] is None else Json(settings["filter"])
    return _params(event) | settings | {"filter": chosen}


def _statements(params: dict[str, Any], *names: str) -> list[Statement]:
    return [Statement(QUERIES[name], params) for name in names]


def _created(event: Posting) -> list[Statement]:
    params = _settings(event) | {
        "start": Json(event.data["start"]),
        "position": event.data["position"],
        "most": consumer.MOST_CONSUMERS,
    }
    return _statements(params, "insert_consumer", "require_room", "place")


def _updated(event: Posting) -> list[Statement]:
    return _statements(_settings(event), "update_consumer")


def _moved(event: Posting) -> list[Statement]:
    params = _params(event) | {"position": event.data["position"]}
    return _statements(params, "place", "touch_consumer")


def _deleted(event: Posting) -> list[Statement]:
    return _statements(_params(event), "delete_consumer", "delete_place")


POSTS: Posts = {
    "daybook.consumer.created": _created,
    "daybook.consumer.recreated": _created,
    "daybook.consumer.updated": _updated,
    "daybook.consumer.moved": _moved,
    "daybook.consumer.deleted": _deleted,
}
