"""The AsyncAPI 3 document: the live streams, which OpenAPI has no words for."""

from importlib.metadata import version
from typing import Any

import msgspec
from litestar import get
from msgspec import Struct

from api import answers, components, operation
from api.answers import Answer
from api.log import websocket
from api.log.messages import Live, Ping, Ready, Refusal, Start
from api.log.schemas import Event, LiveQuery

SSE = "/api/v1/events/sse"
_INFO = {
    "title": "Daybook's live streams",
    "version": version("daybook"),
    "description": "Events as they come, from any position of a tenant's log: over "
    "Server-Sent Events or a WebSocket. Everything else is in `/openapi.json`.",
    "license": {"name": "Apache-2.0"},
}
# The messages: their shapes, and where they go.
_MESSAGES: dict[str, type[Struct]] = {
    "sse_event": Event,
    "start": Start,
    "ready": Ready,
    "event": Live,
    "ping": Ping,
    "problem": Refusal,
}
_FROM_SERVER = ("ready", "event", "ping", "problem")
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "From `POST /api/v1/tickets`; once, within 30 s.",
    },
}


@get("/asyncapi.json", **operation.public())
async def get_asyncapi() -> Answer:
    """The document."""
    return answers.json(document())


def document() -> dict[str, Any]:
    """The document; Daybook is the application that it speaks of."""
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "channels": {
            "sse": _channel(
                SSE,
                "`id:` is the position and `data:` the message; no `event:`. Every 15 s, "
                "and at first, `id:` alone says how far it is.",
                ["sse_event"],
            ),
            "websocket": _channel(
                websocket.PATH,
                "The client starts, once; the token is in its message, never in the URL.",
                ["start", *_FROM_SERVER],
            ),
        },
        "operations": {
            "follow_events": _operation("send", "sse", ["sse_event"])
            | {
                "security": [_at("securitySchemes", name) for name in _SECURITY],
                "bindings": {
                    "http": {
                        "method": "GET",
                        "query": _query(),
                        "bindingVersion": "0.3.0",
                    }
                },
            },
            "start_following": _operation("receive", "websocket", ["start"]),
            "follow_events_by_websocket": _operation("send", "websocket", _FROM_SERVER),
        },
        "components": {
            "messages": {name: _message(kind) for name, kind in _MESSAGES.items()},
            "schemas": components.schemas(_MESSAGES.values()),
            "securitySchemes": _SECURITY,
        },
    }


def _channel(address: str, about: str, names: list[str]) -> dict[str, Any]:
    return {
        "address": address,
        "description": about,
        "messages": {name: _at("messages", name) for name in names},
    }


def _operation(action: str, channel: str, names: Any) -> dict[str, Any]:
    place = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": place},
        "messages": [{"$ref": f"{place}/messages/{name}"} for name in names],
    }


def _message(kind: type[Struct]) -> dict[str, Any]:
    return {"summary": components.about(kind), "payload": components.schema(kind)}


def _query() -> dict[str, Any]:
    """The parameters of a stream, as one object."""
    described = msgspec.json.schema(LiveQuery)["$defs"][LiveQuery.__name__]
    return {"type": "object", "properties": described["properties"]}


def _at(group: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{group}/{name}"}


HANDLERS = (get_asyncapi,)
