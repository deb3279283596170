"""The OpenAPI 3.1 document, made from what routes declare.

Litestar's own generator describes what Litestar reads and answers; here bodies, parameters
and errors are read and written by us, so the document is made from the same declarations.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from msgspec import Struct

from api import answers, idempotency, operation, shapes
from api.answers import Answer
from api.errors import MEDIA_TYPE
from api.operation import JSON, NoParameters, Operation
from api.problems import PROBLEMS
from api.request import ApiRequest
from api.webhooks.schemas import Delivered
from domain.ids import Prefix

_REF = "#/components/schemas/{name}"
_PREFIXES: dict[str, Prefix] = {
    "webhook_id": "wh",
    "delivery_id": "dlv",
    "replay_id": "rpl",
    "key_id": "key",
    "tenant_id": "ten",
}
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
_KEY = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters, kept 24 hours: the same request "
    "under the same key is done once and answered alike.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_TICKET = {
    "type": "apiKey",
    "in": "query",
    "name": "ticket",
    "description": "From `POST /api/v1/tickets`; once, within 30 s.",
}
# What any call may be answered, and what calls with a body or an id may be.
_ALWAYS = (401, 403, 422, 429, 500, 503)
_WITH_BODY = (400, 413, 415)


class ProblemError(Struct, omit_defaults=True):
    """One wrong place: in the body by `pointer`, else by `parameter`."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None


class EventReference(Struct):
    """An event in the log."""

    id: str
    position: int


class Problem(Struct):
    """An error (RFC 9457); `code` is stable, `type` is a page that explains it."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None
    instance: str
    request_id: str
    errors: list[ProblemError]
    event: EventReference | msgspec.UnsetType = msgspec.UNSET


@get("/openapi.json", **operation.public())
async def get_openapi(request: ApiRequest) -> Answer:
    """The document."""
    return answers.json(request.app.state.openapi)


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document for these routes."""
    declared = sorted(_declared(routes), key=_path_and_method)
    paths: dict[str, Any] = {}
    for route, handler, one in declared:
        [method] = handler.http_methods
        described = _described(route, handler, one)
        paths.setdefault(route.path_format, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "webhooks": {"event": {"post": _delivery()}},
        "components": {
            "schemas": _schemas([one for _, _, one in declared]),
            "responses": {
                _error_name(status): _error(status)
                for status in sorted({one.status for one in PROBLEMS.values()})
            },
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


def _described(
    route: HTTPRoute, handler: HTTPRouteHandler, one: Operation
) -> dict[str, Any]:
    [method] = handler.http_methods
    described: dict[str, Any] = {
        "operationId": handler.handler_name,
        "tags": [route.path.split("/")[3]],
        "summary": one.summary,
        "description": _about(handler, one),
        "parameters": [
            *(_in_path(name) for name in route.path_parameters),
            *_in_query(one.query),
            *(_in_header(name, about) for name, about in one.headers.items()),
            *([_KEY] if method == "POST" else []),
        ],
        "responses": {
            **{
                str(status): _answer(kind, one.media_type)
                for status, kind in one.answers.items()
            },
            **{
                str(status): _error_reference(status)
                for status in _errors(route, method, one)
            },
        },
    }
    if one.takes_ticket:
        described["security"] = [{"key": []}, {"ticket": []}]
    if one.bodies:
        described["requestBody"] = {
            "content": {
                name: {"schema": _body(kind)} for name, kind in one.bodies.items()
            },
            "required": any(_is_needed(kind) for kind in one.bodies.values()),
        }
    return described


def _body(kind: Any) -> dict[str, Any]:
    [schema], _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def _is_needed(kind: Any) -> bool:
    """Whether there must be a body; where nothing in it must be, it may be left out."""
    is_struct = isinstance(kind, type) and issubclass(kind, Struct)
    return not is_struct or any(
        field.required for field in msgspec.structs.fields(kind)
    )


def _about(handler: HTTPRouteHandler, one: Operation) -> str:
    scopes = " or ".join(f"`{scope}`" for scope in one.scopes) or "any key"
    about = (handler.fn.__doc__ or "").strip()
    return f"{about}\n\nScope: {scopes}."


def _in_path(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name in _PREFIXES:
        schema["pattern"] = shapes.pattern(_PREFIXES[name])
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(kind: type[Struct]) -> Iterator[dict[str, Any]]:
    if kind is NoParameters:
        return
    described = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    for name, schema in described.items():
        if name == _TICKET["name"]:  # it is told of as what it is
            continue
        about = schema.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": about,
            "schema": _without_null(schema),
        }


def _in_header(name: str, about: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "description": about, "schema": schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or it is not; there is no way to write null."""
    if schema.get("default", ...) is None:
        del schema["default"]
    alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return alternatives[0] if len(alternatives) == 1 else schema


def _answer(
    kind: type[Struct] | tuple[type[Struct], ...] | None, media_type: str
) -> dict[str, Any]:
    if kind is None:
        return {"description": "Done; there is nothing to show."}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    about = " Or: ".join((one.__doc__ or "").strip() for one in kinds)
    return {"description": about, "content": {media_type: {"schema": _one_of(kinds)}}}


def _one_of(kinds: tuple[type[Struct], ...]) -> dict[str, Any]:
    if len(kinds) == 1:
        return dict(_reference(kinds[0]))
    return {
        "title": "Or".join(kind.__name__ for kind in kinds),
        "oneOf": [_reference(kind) for kind in kinds],
    }


def _errors(route: HTTPRoute, method: str, one: Operation) -> Iterator[int]:
    yield from _ALWAYS
    if one.bodies:
        yield from _WITH_BODY
    if one.bodies or method == "POST":
        yield 409
    elif "cursor" in one.query.__struct_fields__:
        yield 400
    if "as_of" in one.query.__struct_fields__:
        yield 409
    if route.path_parameters:
        yield from (404, 412) if "webhook_id" in route.path_parameters else (404,)


def _error(status: int) -> dict[str, Any]:
    codes = [code for code, one in PROBLEMS.items() if one.status == status]
    answer: dict[str, Any] = {
        "description": " or ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": _reference(Problem)}},
    }
    if status in (429, 503):
        about = {"description": "seconds", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": about}
    return answer


def _error_name(status: int) -> str:
    return f"Problem{status}"


def _error_reference(status: int) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{_error_name(status)}"}


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
                "schema": {"type": "string"},
            }
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
        "requestBody": {"content": {JSON: {"schema": _reference(Delivered)}}},
        "responses": {
            "2XX": {"description": "It is there; no further attempt is made."},
            "410": {"description": "Never again: the webhook is disabled."},
        },
    }


def _reference(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _schemas(declared: Iterable[Operation]) -> dict[str, Any]:
    kinds: set[Any] = {Problem, Delivered}
    for one in declared:
        for kind in (*one.bodies.values(), *one.answers.values()):
            kinds |= set(kind) if isinstance(kind, tuple) else {kind} if kind else set()
    in_order = sorted(kinds, key=str)
    _, components = msgspec.json.schema_components(in_order, ref_template=_REF)
    return dict(sorted(components.items()))


HANDLERS = (get_openapi,)
