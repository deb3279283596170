"""Events as they come, over Server-Sent Events (HTML, section 9.2).

`id:` is the position and `data:` one event; no `event:`, so a browser's `onmessage` sees
all of them. A ping has an `id:` too: who filters moves on with it, and does not come back
to where it last saw something.
"""

import re
from collections.abc import Mapping, Sequence

import structlog
from litestar import get
from litestar.types import Receive, Scope, Send

from api import edge, filters
from api.log.audience import SCOPE
from api.log.schemas import Event, LiveQuery
from api.log.seat import Seat, http_leaving
from api.operation import EVENT_STREAM, operation
from api.request import ApiRequest
from domain.errors import Fault, Invalid
from projections.log.following import Wanted
from projections.log.ring import Shown

LAST = "Last-Event-ID"

_HEADERS = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"x-accel-buffering", b"no"),  # nginx would keep events until there are many
)
_LINE_END = re.compile(rb"\r\n|\r|\n")
_POSITION = re.compile(rb"[0-9]{1,16}")

log = structlog.get_logger("daybook.streams")


@get(
    "/api/v1/events/sse",
    **operation(
        "Follow events as they come",
        scopes=[SCOPE],
        query=LiveQuery,
        headers={LAST: "the last `id` that was seen; wins over `after`"},
        answers={200: Event},
        media_type=EVENT_STREAM,
    ),
)
async def follow_events(request: ApiRequest) -> "EventStream":
    """What is there beyond `after`, then each new event; without it, from now on.

    Every 15 s, and at first, an `id` without data says how far it is. Come back with the
    last `id` and nothing is missed or sent twice.
    """
    query = request.parameters(LiveQuery)
    filters.check(types=query.type, streams=query.stream, subject=query.subject)
    last = _last(dict(request.scope["headers"]))
    after = query.after if last is None else last
    return EventStream(request, wanted(query), after)


class EventStream:
    """A response that goes on until its client leaves, may not listen, or we stop."""

    def __init__(self, request: ApiRequest, wanted: Wanted, after: int | None) -> None:
        self._request, self._wanted, self._after = request, wanted, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises DomainError before it has begun, and nothing after that."""
        audience, caller = self._request.services.audience, self._request.caller
        stopping = scope["state"].get("stopping")
        async with audience.seat(caller, self._wanted, self._after, stopping) as seat:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [*_HEADERS]}
            )
            if edge.wants_headers_only(scope):
                await _write(send, b"", is_last=True)
            else:
                await _serve(seat, receive, send)


async def _serve(seat: Seat, receive: Receive, send: Send) -> None:
    """Everything after the headers."""
    try:
        async with seat.attended(http_leaving(seat, receive)):
            await _write(send, _ping(seat.at))
            async for chunk in seat.packs(_frames):
                await _write(send, _ping(seat.at) if chunk is None else chunk)
            last = b": %b\n\n" % (seat.ended or "").encode()
            await _write(send, last, is_last=True)
    except Exception:
        log.exception("stream_failed")


async def _write(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def _frames(events: Sequence[Shown]) -> bytes:
    return b"".join([_frame(event) for event in events])


def _frame(event: Shown) -> bytes:
    # What publishers sent is passed on as it was; there may be line ends between members.
    data = _LINE_END.sub(b"\ndata: ", event.json)
    return b"id: %d\ndata: %b\n\n" % (event.position, data)


def _ping(position: int) -> bytes:
    return b"id: %d\n: ping\n\n" % position


def wanted(query: LiveQuery) -> Wanted:
    """What a checked query asks for."""
    return Wanted(
        tuple(query.type or Wanted().types), tuple(query.stream or ()), query.subject
    )


def _last(headers: Mapping[bytes, bytes]) -> int | None:
    """Where the client was, if it was here before. Raises Invalid."""
    sent = headers.get(LAST.lower().encode())
    if not sent:  # a browser that has seen no id sends none, or an empty one
        return None
    if not _POSITION.fullmatch(sent):
        raise Invalid([Fault(LAST, "invalid", "it is a position", parameter=True)])
    return int(sent)


HANDLERS = (follow_events,)
