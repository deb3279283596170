"""What each route says of itself: who may call it, what it takes, what it answers.

The one declaration is read by the guard, by the checks of what is sent, and by the OpenAPI
document; so none of them can say anything else than the others.
"""

from collections.abc import Collection, Mapping
from typing import Any

from litestar.handlers import BaseRouteHandler
from msgspec import Struct

_OPTION = "operation"
JSON, EVENT_STREAM = "application/json", "text/event-stream"

# Stands among a caller's scopes when the operator's key was sent.
OPERATOR = "operator"


# By status: its shape, or the shapes it may have, or None where there is nothing to show.
Answers = Mapping[int, type[Struct] | tuple[type[Struct], ...] | None]


class NoParameters(Struct, forbid_unknown_fields=True):
    """A query string with nothing in it."""


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. With one of `scopes` a key may call it."""

    summary: str
    scopes: tuple[str, ...]
    is_public: bool
    body: type[Struct] | None
    bodies: Mapping[str, Any]
    query: type[Struct]
    headers: Mapping[str, str]
    answers: Answers
    media_type: str
    policy: str  # the rate limit that it counts for
    is_direct: bool  # its path has no parameters, and Litestar's router is gone around

    @property
    def takes_ticket(self) -> bool:
        """Whether a ticket in the URL may stand for a key."""
        return "ticket" in self.query.__struct_fields__


def operation(
    summary: str,
    *,
    scopes: Collection[str],
    answers: Answers,
    body: type[Struct] | None = None,
    bodies: Mapping[str, Any] | None = None,
    query: type[Struct] = NoParameters,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
    policy: str = "default",
    direct: bool = False,
) -> dict[str, Any]:
    """Arguments for Litestar's route decorators; no scopes: any valid key.

    `bodies`: by media type, where it is not one JSON `body`. `headers`: those of its own,
    with what they mean. `media_type` is that of the answers. `policy`: the rate limit that
    it counts for. `direct`: see `api/direct.py`.
    """
    declared = Operation(
        summary=summary,
        scopes=tuple(scopes),
        is_public=False,
        body=body,
        bodies=bodies or ({} if body is None else {JSON: body}),
        query=query,
        headers=headers or {},
        answers=answers,
        media_type=media_type,
        policy=policy,
        is_direct=direct,
    )
    return _arguments(declared)


def public() -> dict[str, Any]:
    """The same for pages that anybody may read; they are not part of the API proper."""
    declared = Operation(
        summary="",
        scopes=(),
        is_public=True,
        body=None,
        bodies={},
        query=NoParameters,
        headers={},
        answers={},
        media_type=JSON,
        policy="",
        is_direct=False,
    )
    return _arguments(declared)


def _arguments(declared: Operation) -> dict[str, Any]:
    # The status stands in the Answer; Litestar's idea of it (201, 204) must not interfere.
    return {"opt": {_OPTION: declared}, "status_code": 200}


def of(handler: BaseRouteHandler) -> Operation | None:
    """What the route declares; None: nothing, so nobody may call it."""
    found = handler.opt.get(_OPTION)
    return found if isinstance(found, Operation) else None
