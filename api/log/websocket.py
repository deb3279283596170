"""Events as they come, over a WebSocket, in messages that say by `op` what they are.

The client sends one message, with its token in it: a URL would be written to logs. A
refusal is a problem as everywhere, and then a close whose code tells its status: 4400 for
400, 4401 for 401, up to 4599.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from litestar import WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect

from api import edge, errors, guards, reading
from api.answers import Answer
from api.errors import Unauthenticated, UpgradeRequired
from api.log.audience import SCOPE, STOPPING
from api.log.messages import Ping, Ready, Start
from api.log.seat import GONE, Seat
from api.operation import public
from api.problems import PROBLEMS
from api.services import Services
from domain import grammar, patterns
from domain.errors import DomainError, Invalid
from domain.json_text import MalformedJson
from projections.log.following import Wanted
from projections.log.ring import Shown

PATH = "/api/v1/events/ws"
START_SECONDS = 5.0
GOING_AWAY = 1012  # the server begins again: come back
_CLOSE = 4000  # and the status of the problem

Socket = WebSocket[Any, Any, Any]

log = structlog.get_logger("daybook.streams")


@get(PATH, **public())
async def refuse_plain_http() -> Answer:
    """Whoever asks for it as for a page."""
    raise UpgradeRequired


@websocket(PATH)
async def follow_events_by_websocket(socket: Socket) -> None:
    """Follow events as they come."""
    await socket.accept()
    try:
        await _follow(socket)
    except (WebSocketDisconnect, OSError):
        pass  # the client went away; the server's word for it is an OSError
    except Invalid as error:
        await _refuse(socket, error.code, error.detail, error)
    except DomainError as error:
        await _refuse(socket, error.code, error.detail)
    except MalformedJson as error:
        await _refuse(socket, "malformed_json", str(error))
    except Exception:
        log.exception("stream_failed")
        await _refuse(socket, "internal", None)


async def _follow(socket: Socket) -> None:
    services: Services = socket.app.state.services
    start = await _start(socket)
    wanted = _wanted(start)
    named = dict(socket.scope["headers"]).get(b"daybook-tenant")
    asks = services.authenticator.by_token(start.token, named)
    caller = await guards.admitted(services, socket.scope, asks, named, [SCOPE])
    socket.scope["auth"] = caller  # for the line in the log
    stopping = socket.scope["state"].get("stopping")
    async with (
        services.audience.seat(caller, wanted, start.after, stopping) as seat,
        seat.attended(_notice_leaving(seat, socket)),
    ):
        await _send(socket, Ready(seat.at))
        async for texts in seat.packs(_messages):
            if texts is None:
                await _send(socket, Ping(seat.at))
            for text in texts or ():
                await socket.send_text(text)
        await _end(socket, seat.ended)


async def _start(socket: Socket) -> Start:
    """The first message. Raises Unauthenticated, MalformedJson, Invalid."""
    if socket.scope["query_string"]:
        parameters = reading.pairs(socket.scope["query_string"])
        raise Invalid([errors.unknown(name, parameter=True) for name, _ in parameters])
    try:
        async with asyncio.timeout(START_SECONDS):
            text = await socket.receive_text()
    except TimeoutError:
        detail = f"no start came within {START_SECONDS:g} s"
        raise Unauthenticated(detail) from None
    return reading.body(text.encode(), Start)


def _wanted(start: Start) -> Wanted:
    types = (start.type,) if isinstance(start.type, str) else start.type
    streams = (start.stream,) if isinstance(start.stream, str) else start.stream
    faults = []
    if types is not None:
        faults += patterns.check(types, "#/type")
    if streams is not None:
        faults += patterns.check_streams(streams, "#/stream")
    if start.subject is not None:
        faults += grammar.check_subject(start.subject)
    if faults:
        raise Invalid(faults)
    return Wanted(tuple(types or Wanted().types), tuple(streams or ()), start.subject)


async def _notice_leaving(seat: Seat, socket: Socket) -> None:
    message = await socket.receive()
    # After its start a client has nothing to say; nothing is accepted and ignored.
    is_gone = message["type"] == "websocket.disconnect"
    seat.end(GONE if is_gone else Invalid.code)


def _messages(events: Sequence[Shown]) -> list[str]:
    return [f'{{"op":"event","event":{event.json.decode()}}}' for event in events]


async def _send(socket: Socket, message: Any) -> None:
    await socket.send_text(msgspec.json.encode(message).decode())


async def _end(socket: Socket, code: str | None) -> None:
    if code == STOPPING:
        await socket.close(GOING_AWAY)
    elif code is not None and code != GONE:
        await _refuse(socket, code, None)


async def _refuse(
    socket: Socket, code: str, detail: str | None, invalid: Invalid | None = None
) -> None:
    problem = errors.problem(
        code if code in PROBLEMS else "internal",
        detail,
        instance=socket.scope["path"],
        request_id=edge.request_id(socket.scope),
        faults=invalid.faults if invalid else (),
    )
    try:
        await _send(socket, {"op": "problem", "problem": problem})
        await socket.close(_CLOSE + problem["status"])
    except (WebSocketDisconnect, OSError):
        pass  # it did not wait for that


HANDLERS = (refuse_plain_http, follow_events_by_websocket)
