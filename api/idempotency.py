"""`Idempotency-Key`: what is asked for several times is done once, and answered alike.

The first request under a key claims it, runs, and has its answer kept. What it does is
written down in the transaction that does it, so a repeat never does it again, wherever the
process of the first was killed:

* before that transaction has committed: nothing is written, and the key is free;
* after it, before the answer is kept: the handler runs again under the same claim, whose
  `done` makes it append nothing and answer from what is there;
* after that: the kept answer is given out.
"""

import hashlib
import re

import msgspec
import structlog
from msgspec import Raw

from api import errors, reading
from api.answers import Answer
from api.errors import IdempotencyMismatch, unknown
from api.request import ApiRequest
from domain import ids
from domain.errors import DomainError, Fault, Invalid, Repeated, Unavailable
from domain.log.entry import Claim
from projections.log import claims
from projections.log.claims import Kept, Name
from projections.postgres import Connection

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,255}")
_REPLAYED = {"Idempotent-Replayed": "true"}
_SHOWN_ONCE = {"secret", "key", "ticket"}
_NULL = Raw(b"null")
_TRIES = 3

log = structlog.get_logger("daybook.idempotency")


async def answered(request: ApiRequest, sent: bytes) -> Answer:
    """The answer to a request that came with this key.

    Raises IdempotencyMismatch, IdempotencyRunning, and whatever the request raises.
    """
    if request.method != "POST":  # the other methods may be repeated as they are
        raise Invalid([unknown(HEADER, parameter=True)])
    name = (request.caller.tenant or claims.OPERATOR, _checked(sent))
    fingerprint = _fingerprint(request, await request.body())
    for _ in range(_TRIES - 1):
        try:
            return await _once(request, name, fingerprint)
        except Repeated:
            pass  # somebody was quicker, and has left an answer
    return await _once(request, name, fingerprint)


async def keep(request: ApiRequest, connection: Connection, answer: Answer) -> Answer:
    """Write the answer down in the transaction of what it answers, and return it.

    For routes that change rows themselves; what goes into the log needs no such thing.
    Raises Repeated: then the transaction must not commit.
    """
    claim = request.caller.claim
    if claim is not None:
        shown = _without_secrets(answer)
        await claims.keep(connection, claim, shown.status, shown.headers, shown.body)
        claim.is_kept = True
    return answer


async def _once(request: ApiRequest, name: Name, fingerprint: bytes) -> Answer:
    async with request.services.claims.claimed(name) as kept:
        if kept.fingerprint not in (None, fingerprint):
            raise IdempotencyMismatch
        if kept.status is not None:
            stored = Answer(kept.body or b"", status=kept.status, media_type=None)
            return stored.adding(kept.headers or {}).adding(_REPLAYED)
        claim = await _claim(request, name, fingerprint, kept)
        answer = await _run(request, claim)
    return answer if claim.done is None else _without_secrets(answer).adding(_REPLAYED)


async def _claim(
    request: ApiRequest, name: Name, fingerprint: bytes, kept: Kept
) -> Claim:
    """A claim for the run that is to come: the first, or one after a lost one."""
    done = None
    if kept.log_tenant_id is not None:
        database = request.services.database
        async with database.tenant(kept.log_tenant_id) as connection:
            done = await claims.receipts(connection, kept)
    return Claim(
        *name, fingerprint, kept.run or ids.new(), kept.made or ids.new(), done
    )


async def _run(request: ApiRequest, claim: Claim) -> Answer:
    """Run the handler; the answer, kept unless it is one that a repeat may change."""
    request.scope["auth"] = request.caller._replace(claim=claim)
    handler = request.scope["route_handler"]
    try:
        answer: Answer = await handler.fn(request=request, **request.path_params)
    except DomainError as error:
        answer = errors.refused(request, error)
        if answer.status != 422 and error.code != "event_exists":
            raise
    if not claim.is_kept:
        await _keep(request, claim, _without_secrets(answer))
    return answer


async def _keep(request: ApiRequest, claim: Claim, answer: Answer) -> None:
    try:
        await request.services.claims.keep(
            claim, answer.status, answer.headers, answer.body
        )
    except (Unavailable, Repeated) as error:
        # What was done is written down, and done; a repeat makes the answer anew.
        log.warning("answer_not_kept", error=type(error).__name__)


def _without_secrets(answer: Answer) -> Answer:
    """The answer as repeats see it: what is shown once is null."""
    if answer.status >= 300 or not answer.body.startswith(b"{"):
        return answer
    members = reading.decode(answer.body, dict[str, Raw])
    if _SHOWN_ONCE.isdisjoint(members):
        return answer
    shown = {n: _NULL if n in _SHOWN_ONCE else value for n, value in members.items()}
    body = msgspec.json.encode(shown)
    return Answer(body, status=answer.status, media_type=None).adding(answer.headers)


def _checked(sent: bytes) -> str:
    key = sent.decode("latin-1")
    if not _KEY.fullmatch(key):
        detail = "1 to 255 visible ASCII characters"
        raise Invalid([Fault(HEADER, "invalid", detail, parameter=True)])
    return key


def _fingerprint(request: ApiRequest, body: bytes) -> bytes:
    """Of everything that says what is asked for."""
    scope = request.scope
    asked = [scope["method"], scope["path"], scope["query_string"].decode("latin-1")]
    # A CloudEvent's attributes may be headers.
    sent = [pair for pair in scope["headers"] if pair[0].startswith(b"ce-")]
    asked += [part.decode("latin-1") for pair in sent for part in pair]
    # Encoded, they end where the body begins.
    return hashlib.blake2b(msgspec.json.encode(asked) + body, digest_size=16).digest()
