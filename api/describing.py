"""One operation as the OpenAPI document has it: what it takes, answers and refuses."""

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import Struct

from api import components, idempotency
from api.errors import MEDIA_TYPE
from api.operation import OPERATOR, NoParameters, Operation
from api.problems import PROBLEMS

_KEY = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters, kept 24 hours: the same request "
    "under the same key is done once and answered alike.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_TENANT = {
    "name": "Daybook-Tenant",
    "in": "header",
    "required": False,
    "description": "The tenant that a platform key acts for, by id or external id.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
PARAMETERS = {"IdempotencyKey": _KEY, "DaybookTenant": _TENANT}
# What any call may be answered.
_ALWAYS = (401, 403, 422, 429, 500, 503)
_WITH_BODY = (400, 413, 415)


def operation(
    route: HTTPRoute, handler: HTTPRouteHandler, one: Operation, ids: components.Ids
) -> dict[str, Any]:
    """What the operation is; `ids` say what is known of ids by their names."""
    [method] = handler.http_methods
    described: dict[str, Any] = {
        "operationId": handler.handler_name,
        "tags": [route.path.split("/")[3]],
        "summary": one.summary,
        "description": _about(handler, one),
        "parameters": list(_parameters(route, method, one, ids)),
        "responses": {
            **{
                str(status): _answer(kind, one.media_type)
                for status, kind in one.answers.items()
            },
            **{
                str(status): {"$ref": f"#/components/responses/{_name(status)}"}
                for status in sorted(set(_refusals(route, method, one)))
            },
        },
    }
    if one.takes_ticket:
        described["security"] = [{"key": []}, {"ticket": []}]
    if one.bodies:
        described["requestBody"] = {
            "content": {
                name: {"schema": components.schema(kind)}
                for name, kind in one.bodies.items()
            },
            "required": any(_is_needed(kind) for kind in one.bodies.values()),
        }
    return described


def refusals() -> dict[str, Any]:
    """The answers of all errors, by the names that operations refer to."""
    statuses = sorted({problem.status for problem in PROBLEMS.values()})
    return {_name(status): _refusal(status) for status in statuses}


def _about(handler: HTTPRouteHandler, one: Operation) -> str:
    scopes = " or ".join(f"`{scope}`" for scope in one.scopes) or "any key"
    about = (handler.fn.__doc__ or "").strip()
    return f"{about}\n\nScope: {scopes}."


def _parameters(
    route: HTTPRoute, method: str, one: Operation, ids: components.Ids
) -> Iterator[dict[str, Any]]:
    for name in route.path_parameters:
        schema = components.with_pattern(name, ids.get(name, {"type": "string"}))
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    yield from _in_query(one.query)
    for name, about in one.headers.items():
        schema = {"type": "string"}
        yield {"name": name, "in": "header", "description": about, "schema": schema}
    if _is_of_a_tenant(one):
        yield {"$ref": "#/components/parameters/DaybookTenant"}
    if method == "POST":
        yield {"$ref": "#/components/parameters/IdempotencyKey"}


def _in_query(kind: type[Struct]) -> Iterator[dict[str, Any]]:
    if kind is NoParameters:
        return
    described = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    for name, schema in described.items():
        about = schema.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": about,
            "schema": components.with_pattern(name, _without_null(schema)),
        }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or it is not; there is no way to write null."""
    if schema.get("default", ...) is None:
        del schema["default"]
    alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return alternatives[0] if len(alternatives) == 1 else schema


def _is_needed(kind: Any) -> bool:
    """Whether there must be a body; where nothing in it must be, it may be left out."""
    is_struct = isinstance(kind, type) and issubclass(kind, Struct)
    return not is_struct or any(
        field.required for field in msgspec.structs.fields(kind)
    )


def _answer(
    kind: type[Struct] | tuple[type[Struct], ...] | None, media_type: str
) -> dict[str, Any]:
    if kind is None:
        return {"description": "Done; there is nothing to show."}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    about = " Or: ".join(components.about(one) for one in kinds)
    schema = components.one_of(kinds)
    return {"description": about, "content": {media_type: {"schema": schema}}}


def _is_of_a_tenant(one: Operation) -> bool:
    return bool(one.scopes) and set(one.scopes) != {OPERATOR}


def _refusals(route: HTTPRoute, method: str, one: Operation) -> Iterator[int]:
    """The statuses of the errors that this operation can be answered with."""
    yield from _ALWAYS
    asked = one.query.__struct_fields__
    if one.bodies:
        yield from _WITH_BODY
    if "cursor" in asked:
        yield 400
    if route.path_parameters or _is_of_a_tenant(one):
        yield 404  # a platform key's tenant may be absent, too
    # What changes may meet another change; a place may be of a log that was rewound.
    if method != "GET" or {"as_of", "after"} & set(asked):
        yield 409
    if "If-Match" in one.headers:
        yield 412


def _refusal(status: int) -> dict[str, Any]:
    codes = [code for code, one in PROBLEMS.items() if one.status == status]
    answer: dict[str, Any] = {
        "description": " or ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": components.schema(components.Problem)}},
    }
    if status in (429, 503):
        about = {"description": "seconds", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": about}
    return answer


def _name(status: int) -> str:
    return f"Problem{status}"
