"""Whose request this is: keys by their digest, the operator's key by comparison.

A valid key is remembered for a second, so a publisher costs the database one look-up a
second and not one a request. A key that ends here is forgotten at once; one that ends in
another process works for that second.
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

from api.errors import ScopeMissing, Unauthenticated
from api.operation import OPERATOR
from domain import clock
from domain.errors import DomainError
from domain.log import entry
from domain.tenancy import api_key
from projections.postgres import Database
from projections.tenancy import views
from projections.tenancy.views import Credential

KEPT_SECONDS = 1.0
MOST_KEPT = 10_000
TOUCH_SECONDS = 60.0

log = structlog.get_logger("daybook.authentication")


class Caller(NamedTuple):
    """Who asks; the operator has no tenant."""

    actor: str
    scopes: frozenset[str]
    tenant: UUID | None = None
    key_id: UUID | None = None
    expires_at: datetime | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the operator's key was sent."""
        return self.tenant is None

    @property
    def tenant_id(self) -> UUID:
        """Whose data this is about. Raises ScopeMissing for the operator."""
        if self.tenant is None:
            raise ScopeMissing("the operator's key reads no tenant's data")
        return self.tenant


_OPERATOR = Caller(entry.OPERATOR, frozenset({OPERATOR}))


class Authenticator:
    """Turns keys into callers; one for each process."""

    def __init__(self, database: Database, operator_key: str) -> None:
        self._database = database
        self._operator = api_key.digest(operator_key)
        self._kept: dict[bytes, tuple[float, Caller]] = {}
        self._asked: dict[bytes, asyncio.Task[Caller]] = {}
        self._touched: dict[UUID, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._generation = 0

    async def caller(self, authorization: bytes | None) -> Caller:
        """Who sent this header. Raises Unauthenticated, Unavailable."""
        digest = hashlib.sha256(_token(authorization)).digest()
        kept = self._kept.get(digest)
        if kept is not None and kept[0] > time.monotonic():
            return _current(kept[1])
        if hmac.compare_digest(digest, self._operator):
            return _OPERATOR
        if not _may_be_a_key(authorization):
            raise Unauthenticated
        return _current(await self._ask_once(digest))

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

    async def _ask_once(self, digest: bytes) -> Caller:
        """One look-up for all requests that wait for the same key."""
        task = self._asked.get(digest)
        if task is None:
            task = self._spawn(self._ask(digest))
            self._asked[digest] = task
            task.add_done_callback(lambda done: self._answered(digest, done))
        # A caller that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes) -> Caller:
        generation = self._generation
        async with self._database.connection() as connection:
            found = await views.authenticate(connection, digest)
        if found is None:
            raise Unauthenticated
        caller = _caller(found)
        if generation == self._generation:
            self._keep(digest, caller)
        self._touch(found)
        return caller

    def _answered(self, digest: bytes, task: asyncio.Task[Caller]) -> None:
        if self._asked.get(digest) is task:
            del self._asked[digest]

    def _keep(self, digest: bytes, caller: Caller) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[digest] = (time.monotonic() + KEPT_SECONDS, caller)

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
        try:
            async with self._database.tenant(found.tenant_id) as connection:
                await views.touch_key(connection, found.tenant_id, found.key_id)
        except DomainError:
            log.debug("use_of_key_not_recorded")

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # The loop itself keeps no strong reference to a task.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _token(authorization: bytes | None) -> bytes:
    scheme, _, token = (authorization or b"").partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated
    return token.strip()


def _may_be_a_key(authorization: bytes | None) -> bool:
    try:
        return api_key.is_well_formed(_token(authorization).decode("ascii"))
    except UnicodeDecodeError:
        return False


def _caller(found: Credential) -> Caller:
    return Caller(
        entry.key_actor(found.key_id),
        frozenset(found.scopes),
        found.tenant_id,
        found.key_id,
        found.expires_at,
    )


def _current(caller: Caller) -> Caller:
    """The caller, unless the key ran out while it was kept. Raises Unauthenticated."""
    if caller.expires_at is not None and caller.expires_at <= clock.now():
        raise Unauthenticated
    return caller
