"""The OpenAPI 3.1 document, made from what routes declare.

Litestar's own generator describes what Litestar reads and answers; here bodies, parameters
and errors are read and written by us, so the document is made from the same declarations.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from api import answers, components, describing, operation, system_types
from api.answers import Answer
from api.examples import BY_SHAPE, Examples
from api.operation import JSON, Operation
from api.request import ApiRequest
from api.system_types import Types
from api.webhooks.schemas import Delivered

_INFO = {
    "title": "Daybook",
    "version": version("daybook"),
    "description": "An append-only event log, and webhooks posted from it.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_SECURITY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key; the operator's for tenants and keys. A platform key "
    "names the tenant it acts for, by id or external id, in the header `Daybook-Tenant`.",
}
_TICKET = {
    "type": "apiKey",
    "in": "query",
    "name": "ticket",
    "description": "From `POST /api/v1/tickets`; once, within 30 s.",
}
_HEADERS = {
    "webhook-id": "the event's id: the same over retries and replays",
    "webhook-timestamp": "of this attempt, in seconds",
    "webhook-signature": "`v1,` and a signature, for each secret in force",
}


@get("/openapi.json", **operation.public())
async def get_openapi(request: ApiRequest) -> Answer:
    """The document."""
    return answers.json(request.app.state.openapi)


def document(
    routes: Iterable[BaseRoute],
    types: Types = system_types.OWN,
    examples: Examples = BY_SHAPE,
) -> dict[str, Any]:
    """The document for these routes, event types, and examples by the name of a shape."""
    declared = sorted(_declared(routes), key=_path_and_method)
    kinds = list(_kinds(one for _, _, one in declared))
    ids = components.ids(kinds)
    paths: dict[str, Any] = {}
    for route, handler, one in declared:
        [method] = handler.http_methods
        described = describing.operation(route, handler, one, ids)
        paths.setdefault(route.path_format, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "webhooks": {"event": {"post": _delivery()}}
        | {
            name: {"post": _own_delivery(name, one)}
            for name, one in sorted(types.items())
        },
        "components": {
            "schemas": components.schemas(kinds, examples),
            "responses": describing.refusals(),
            "parameters": describing.PARAMETERS,
            "securitySchemes": {"key": _SECURITY, "ticket": _TICKET},
        },
    }


def _declared(
    routes: Iterable[BaseRoute],
) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler, Operation]]:
    for route in routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                one = operation.of(handler)
                if one is not None and not one.is_public:
                    yield route, handler, one


def _path_and_method(
    found: tuple[HTTPRoute, HTTPRouteHandler, Operation],
) -> tuple[str, str]:
    [method] = found[1].http_methods
    return found[0].path, method


def _kinds(declared: Iterable[Operation]) -> Iterator[Any]:
    yield from (components.Problem, Delivered)
    for one in declared:
        yield from one.bodies.values()
        for kind in one.answers.values():
            yield from kind if isinstance(kind, tuple) else (kind,) if kind else ()


def _delivery() -> dict[str, Any]:
    """What a receiver gets: `webhooks` is for requests that Daybook makes."""
    return {
        "operationId": "deliver_event",
        "summary": "An event is delivered to a webhook",
        "description": "Answer 2xx. Verify the signature (Standard Webhooks) and keep "
        "`webhook-id`: the same one may come twice.",
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": about,
                "schema": {"type": "string"},
            }
            for name, about in _HEADERS.items()
        ],
        "requestBody": {"content": {JSON: {"schema": components.schema(Delivered)}}},
        "responses": {
            "2XX": {"description": "It is there; no further attempt is made."},
            "410": {"description": "Never again: the webhook is disabled."},
        },
    }


def _own_delivery(name: str, one: system_types.SystemType) -> dict[str, Any]:
    """The same for an event that commands record: its data is known."""
    known = {
        "type": "object",
        "properties": {"type": {"const": name}, "data": one.schema},
    }
    schema = {
        "title": one.schema["title"],
        "allOf": [components.schema(Delivered), known],
    }
    return _delivery() | {
        "operationId": f"deliver_{name.replace('.', '_')}",
        "summary": one.description,
        "requestBody": {"content": {JSON: {"schema": schema}}},
    }


HANDLERS = (get_openapi,)
