"""The built-in receiver of development: checks signatures, shows and fails arrivals.

It knows of webhooks what a stranger knows: the headers, the bytes and the secret. So it
verifies with its own few lines, not with those that signed.

    POST /hooks/<anything>   204 when the signature holds, else 401; 500 when told to
    GET  /arrivals           the last 1,000, oldest first
    POST /control/fail       {"type": "order.placed", "times": 2}

The last two answer this machine only.
"""

import base64
import binascii
import hmac
import ipaddress
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from domain import clock

TOLERANCE_SECONDS = 300
KEPT_ARRIVALS = 1000
SHOWN_BODY = 4 * 1024
LARGEST_BODY = 1024 * 1024

# A page in this machine's browser is local too; what gives it away is a name of its own
# in Host (DNS rebinding), and that it may not send JSON to others unasked.
_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_DIGITS = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request to /hooks, and what it was answered; `reason` says why not 204."""

    received_at: datetime
    webhook_id: str | None
    type: str | None
    position: int | None
    sequence: int | None
    attempt: int | None
    delivery: str | None
    path: str
    body: bytes
    verified: bool
    reason: str | None
    answered: int


class Failing(msgspec.Struct, forbid_unknown_fields=True):
    """The next `times` verified arrivals of `type` are answered 500."""

    type: str
    times: int


class Receiver:
    """An HTTP server for webhooks. `secrets` is asked anew for each arrival."""

    def __init__(
        self,
        secrets: Callable[[], Sequence[str]],
        on_arrival: Callable[[Arrival], None],
    ) -> None:
        self._secrets = secrets
        self._on_arrival = on_arrival
        self._failures: Counter[str] = Counter()
        self._shown: deque[dict[str, Any]] = deque(maxlen=KEPT_ARRIVALS)
        self._runner: web.AppRunner | None = None

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, backlog: int = 1024
    ) -> str:
        """Listen; the URL without a path, to which `/hooks/...` is added."""
        # The signature is over the bytes on the wire, so nothing is unpacked.
        runner = web.AppRunner(
            self._application(), access_log=None, auto_decompress=False
        )
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port, backlog=backlog).start()
        bound = runner.addresses[0][1]
        return f"http://{f'[{host}]' if ':' in host else host}:{bound}"

    async def stop(self) -> None:
        """Close the port and all connections; what has arrived stays readable."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def fail_next(self, type: str, times: int) -> None:
        """Answer 500 to `times` more verified arrivals of `type`."""
        self._failures[type] += times

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_post("/hooks/{name:.+}", self._receive)
        application.router.add_get("/arrivals", self._list)
        application.router.add_post("/control/fail", self._fail)
        return application

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        now = clock.now()
        reason = refusal(request.headers, body, self._secrets(), now)
        arrival = self._arrival(request, body, now, reason)
        self._shown.append(_shown(arrival))
        self._on_arrival(arrival)
        return web.Response(status=arrival.answered, text=arrival.reason)

    def _arrival(
        self, request: web.Request, body: bytes, now: datetime, reason: str | None
    ) -> Arrival:
        headers = request.headers
        type_ = _text(headers.get("daybook-type"))
        answered = 401 if reason else self._status(type_ or "")
        return Arrival(
            received_at=now,
            webhook_id=_text(headers.get("webhook-id")),
            type=type_,
            position=_number(headers.get("daybook-position")),
            sequence=_number(headers.get("daybook-sequence")),
            attempt=_number(headers.get("daybook-attempt")),
            delivery=_text(headers.get("daybook-delivery")),
            path=request.raw_path,
            body=body,
            verified=reason is None,
            reason=reason or ("told to fail" if answered == 500 else None),
            answered=answered,
        )

    def _status(self, type_: str) -> int:
        if not self._failures[type_]:
            return 204
        self._failures[type_] -= 1
        return 500

    async def _list(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        return _json({"data": list(self._shown)})

    async def _fail(self, request: web.Request) -> web.Response:
        _refuse_strangers(request)
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        try:
            wanted = msgspec.json.decode(await request.read(), type=Failing)
        except msgspec.MsgspecError as problem:
            raise web.HTTPUnprocessableEntity(text=str(problem)) from problem
        if wanted.times < 0:
            raise web.HTTPUnprocessableEntity(text="times is negative")
        self.fail_next(wanted.type, wanted.times)
        return _json({"type": wanted.type, "times": self._failures[wanted.type]})


def refusal(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
) -> str | None:
    """Why this is not, or not provably, from who holds a secret; None when it is."""
    message = headers.get("webhook-id")
    sent_at = headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not message or not sent_at or not signatures:
        return "a webhook-id, webhook-timestamp or webhook-signature is missing"
    if not _DIGITS.fullmatch(sent_at):
        return "the timestamp is not a number"
    if abs(now.timestamp() - int(sent_at)) > TOLERANCE_SECONDS:
        return "the timestamp is more than 5 minutes away"
    signed = f"{message}.{sent_at}.".encode(errors="replace") + body
    if not _is_signed(signed, signatures, secrets):
        return "no signature fits a known secret"
    return None


def _is_signed(signed: bytes, signatures: str, secrets: Sequence[str]) -> bool:
    received = [
        text.removeprefix("v1,").encode(errors="replace")
        for text in signatures.split(" ")
        if text.startswith("v1,")
    ]
    expected = [
        base64.b64encode(hmac.digest(key, signed, "sha256"))
        for key in map(_key, secrets)
        if key is not None
    ]
    return any(hmac.compare_digest(ours, it) for ours in expected for it in received)


def _key(secret: str) -> bytes | None:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return None  # a secret of another kind signs nothing that is read here
    return key or None  # with an empty key anyone could sign


def _number(text: str | None) -> int | None:
    return int(text) if text and _DIGITS.fullmatch(text) else None


def _text(value: str | None) -> str | None:
    # aiohttp smuggles bytes that are no UTF-8 through as lone surrogates, which JSON
    # cannot hold.
    return value and value.encode(errors="replace").decode()


def _shown(arrival: Arrival) -> dict[str, Any]:
    short = len(arrival.body) <= SHOWN_BODY
    return {
        "received_at": clock.rfc3339(arrival.received_at),
        "webhook_id": arrival.webhook_id,
        "type": arrival.type,
        "position": arrival.position,
        "sequence": arrival.sequence,
        "attempt": arrival.attempt,
        "delivery": arrival.delivery,
        "path": arrival.path,
        "body": arrival.body.decode("utf-8", "replace") if short else None,
        "body_bytes": len(arrival.body),
        "verified": arrival.verified,
        "reason": arrival.reason,
        "answered": arrival.answered,
    }


def _refuse_strangers(request: web.Request) -> None:
    local = _LOCAL_HOST.fullmatch(request.host) and request.remote
    if not local or not ipaddress.ip_address(local).is_loopback:
        raise web.HTTPForbidden(text="for this machine only")


def _json(content: dict[str, Any]) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(content), content_type="application/json"
    )
