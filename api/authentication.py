"""Whose request this is: keys by their digest, the operator's key by comparison.

A valid key is remembered for a second, so a publisher costs the database one look-up a
second and not one a request. What changes here (a key ends, a tenant is suspended) holds
for the next request; what changes in another process, at most a second later.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from api.errors import KeyMissing, ScopeMissing, Unauthenticated
from api.operation import OPERATOR
from domain import clock, ids
from domain.errors import DomainError
from domain.log import entry
from domain.log.entry import Claim
from domain.tenancy import api_key, settings, ticket
from domain.tenancy.api_key import PLATFORM
from domain.tenancy.settings import Settings
from projections.postgres import Database
from projections.tenancy import views
from projections.tenancy.views import Credential

KEPT_SECONDS = 1.0
MOST_KEPT = 10_000
TOUCH_SECONDS = 60.0

log = structlog.get_logger("daybook.authentication")


class Proof(NamedTuple):
    """What was sent: a key's digest, and whom it is to act for if it is a platform key."""

    digest: bytes
    named: bytes | None = None


class Caller(NamedTuple):
    """Who asks; the operator has no tenant, a platform key the one that it names."""

    actor: str
    scopes: frozenset[str]
    tenant: UUID | None = None
    key_id: UUID | None = None
    expires_at: datetime | None = None
    is_platform: bool = False
    external_id: str | None = None
    is_suspended: bool = False
    settings: Settings = Settings()  # the tenant's
    proof: Proof = Proof(b"")  # to ask again with, of who stays
    claim: Claim | None = None  # what a request of theirs does once, by its key

    @property
    def is_operator(self) -> bool:
        """Whether the operator's key was sent."""
        return self.key_id is None

    @property
    def tenant_id(self) -> UUID:
        """Whose data this is about. Raises ScopeMissing for the operator."""
        if self.tenant is None:
            raise ScopeMissing("the operator's key reads no tenant's data")
        return self.tenant

    def speaks_for(self, named: bytes) -> bool:
        """Whether this is what its tenant is called, by id or by the operator."""
        if self.tenant is None:
            return False
        names = (ids.encode("ten", self.tenant), self.external_id or "")
        return named != b"" and named in [name.encode() for name in names]


_OPERATOR = Caller(entry.OPERATOR, frozenset({OPERATOR}))


class Authenticator:
    """Turns keys into callers; one for each process."""

    def __init__(self, database: Database, operator_key: str) -> None:
        self._database = database
        self._operator = api_key.digest(operator_key)
        self._kept: dict[Proof, tuple[float, Caller]] = {}
        self._asked: dict[Proof, asyncio.Task[Caller]] = {}
        self._touched: dict[UUID, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._generation = 0

    async def caller(
        self, authorization: bytes | None, named: bytes | None = None
    ) -> Caller:
        """Who sent this header, and for which tenant; only a platform key chooses.

        Raises Unauthenticated, Unavailable.
        """
        digest = hashlib.sha256(_token(authorization)).digest()
        if kept := self._known(Proof(digest)):
            if not kept.is_platform or named is None:
                return _current(kept)
            if kept := self._known(Proof(digest, named)):
                return _current(kept)
        if hmac.compare_digest(digest, self._operator):
            return _OPERATOR
        if not _may_be_a_key(authorization):
            raise Unauthenticated
        return _current(await self._ask_once(Proof(digest, named)))

    async def by_token(self, sent: str, named: bytes | None) -> Caller:
        """Who sent this in a message: a key, or a ticket. Raises as above."""
        if sent.startswith(ticket.PREFIX):
            return await self.by_ticket(sent)
        return await self.caller(b"Bearer " + sent.encode(), named)

    async def by_ticket(self, sent: str) -> Caller:
        """Who got this ticket; it is used up with that. Raises as above."""
        if not ticket.is_well_formed(sent):
            raise Unauthenticated
        async with self._database.connection() as connection:
            redeemed = await views.redeem(connection, ticket.digest(sent))
        if redeemed is None:
            raise Unauthenticated("the ticket was used, or its time has passed")
        named = ids.encode("ten", redeemed.tenant_id).encode()
        return await self.again(Proof(redeemed.key_digest, named))

    async def again(self, proof: Proof) -> Caller:
        """Who sent this before, as they are now. Raises Unauthenticated, Unavailable."""
        return _current(self._known(proof) or await self._ask_once(proof))

    def is_operator(self, authorization: bytes | None) -> bool:
        """Whether this is the operator's key; asks nobody, so it works always."""
        try:
            digest = hashlib.sha256(_token(authorization)).digest()
        except Unauthenticated:
            return False
        return hmac.compare_digest(digest, self._operator)

    def forget(self) -> None:
        """Keys have changed: ask anew, also for what is being asked just now."""
        self._generation += 1
        self._kept.clear()
        self._asked.clear()

    def _known(self, proof: Proof) -> Caller | None:
        kept = self._kept.get(proof)
        return kept[1] if kept is not None and kept[0] > time.monotonic() else None

    async def _ask_once(self, proof: Proof) -> Caller:
        """One look-up for all requests that wait for the same key."""
        task = self._asked.get(proof)
        if task is None:
            task = self._spawn(self._ask(proof))
            self._asked[proof] = task
            task.add_done_callback(lambda done: self._answered(proof, done))
        # A caller that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, proof: Proof) -> Caller:
        (digest, named), generation = proof, self._generation
        text = None if named is None else named.decode("latin-1")
        async with self._database.connection() as connection:
            found = await views.authenticate(connection, digest, text)
        if found is None:
            raise Unauthenticated
        # Whatever another key names, it is its own tenant's.
        proof = Proof(digest, named if found.is_platform else None)
        caller = _caller(found)._replace(proof=proof)
        if generation == self._generation:
            self._keep(proof, caller)
        self._touch(found)
        return caller

    def _answered(self, proof: Proof, task: asyncio.Task[Caller]) -> None:
        if self._asked.get(proof) is task:
            del self._asked[proof]

    def _keep(self, proof: Proof, caller: Caller) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[proof] = (time.monotonic() + KEPT_SECONDS, caller)

    def _touch(self, found: Credential) -> None:
        """Write down that the key is used, once a minute and without anybody waiting."""
        now = time.monotonic()
        if self._touched.get(found.key_id, -TOUCH_SECONDS) > now - TOUCH_SECONDS:
            return
        if len(self._touched) >= MOST_KEPT:
            self._touched.clear()
        self._touched[found.key_id] = now
        self._spawn(self._record_use(found))

    async def _record_use(self, found: Credential) -> None:
        owner = PLATFORM if found.is_platform else found.tenant_id or PLATFORM
        try:
            async with self._database.tenant(owner) as connection:
                await views.touch_key(connection, owner, found.key_id)
        except DomainError:
            log.debug("use_of_key_not_recorded")

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # The loop itself keeps no strong reference to a task.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _token(authorization: bytes | None) -> bytes:
    if not authorization:
        raise KeyMissing
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated
    return token.strip()


def _may_be_a_key(authorization: bytes | None) -> bool:
    try:
        return api_key.is_well_formed(_token(authorization).decode("ascii"))
    except UnicodeDecodeError:
        return False


def _caller(found: Credential) -> Caller:
    """Raises Unauthenticated when the tenant has ended, and its keys with it."""
    is_there = found.tenant_id is not None and found.state != "offboarded"
    if not is_there and not found.is_platform:
        raise Unauthenticated
    named = entry.platform_actor if found.is_platform else entry.key_actor
    caller = Caller(
        named(found.key_id),
        frozenset(found.scopes),
        key_id=found.key_id,
        expires_at=found.expires_at,
        is_platform=found.is_platform,
    )
    if not is_there:
        return caller
    return caller._replace(
        tenant=found.tenant_id,
        external_id=found.external_id,
        is_suspended=found.state == "suspended",
        settings=settings.read(
            {"strict_types": found.strict_types, "limits": found.limits}
        ),
    )


def _current(caller: Caller) -> Caller:
    """The caller, unless the key ran out while it was kept. Raises Unauthenticated."""
    if caller.expires_at is not None and caller.expires_at <= clock.now():
        raise Unauthenticated
    return caller
