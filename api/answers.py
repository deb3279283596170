"""Responses: msgspec's bytes in Litestar's envelope, and the headers writes answer with."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response

from api.pagination import Page

_ENCODER = msgspec.json.Encoder()
_JSON = "application/json"


def json(
    content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """`content` as JSON; a msgspec.Raw within it is spliced in as it is."""
    return Response(
        _ENCODER.encode(content),
        status_code=status,
        media_type=_JSON,
        headers=headers,
    )


def page(found: Page[Any], shown: list[Any], **more: Any) -> Response[bytes]:
    """A page of a list: `shown` are its rows in their public shape."""
    return json({"data": shown, "next": found.next, "prev": found.prev, **more})


def position(last: int) -> dict[str, str]:
    """The header that says up to where the log holds what a write changed."""
    return {"Daybook-Position": str(last)}
