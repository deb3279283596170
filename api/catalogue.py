"""What the event types of tenants ask of data: known in this process, true under the log.

A tenant's schemas are remembered with the place where its catalogue was changed last. Data
is checked before it waits for the log, and that place goes with it; when the catalogue has
changed since, the log refuses it as outdated, and it is checked anew. So a schema holds
from the next event on, in every process, and who has none pays for a look into a dict.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from api.checking import Checker
from api.errors import MOST_FAULTS
from domain.errors import Fault, Unavailable
from domain.log.entry import Entry
from projections.postgres import Database
from projections.webhooks import views

MOST_TENANTS = 10_000
CHECKER_BYTES = 64 * 1024 * 1024  # of compiled schemas, in one process
# A check that took longer keeps its tenant's next ones away for ten times as long: nobody's
# schema may take a process from all others. Data and schemas of people take a tenth of it.
SLOW_SECONDS, RESTS = 0.1, 10
_TURN = 0.005  # seconds of checking, after which others have their turn


class Known(NamedTuple):
    """A tenant's catalogue: where it was changed last, and the types that have a schema."""

    head: int
    versions: Mapping[str, int]


class Catalogue:
    """The schemas that this process has met; one for each process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[UUID, Known] = OrderedDict()
        self._checkers: OrderedDict[tuple[UUID, str, int], Checker] = OrderedDict()
        self._bytes = 0
        self._resting: dict[UUID, float] = {}
        self._loading = asyncio.Lock()
        self.dry_run = (
            asyncio.Lock()
        )  # one at a time: it keeps the process from other work

    async def check(
        self, tenant_id: UUID, entries: Sequence[Entry], at: str
    ) -> tuple[int, dict[int, list[Fault]]]:
        """The catalogue's head, and by their numbers the faults of entries.

        `at` is where an entry's data stands, with {} for its number. Raises Unavailable.
        """
        known = self._known.get(tenant_id) or await self._load(tenant_id)
        faults: dict[int, list[Fault]] = {}
        if known.versions:
            turn = time.thread_time()
            for number, entry in enumerate(entries):
                if entry.type not in known.versions or len(faults) >= MOST_FAULTS:
                    continue
                if found := await self._faults(known, entry, at.format(number)):
                    faults[number] = found
                if time.thread_time() - turn > _TURN:
                    await asyncio.sleep(0)
                    turn = time.thread_time()
        return known.head, faults

    def forget(self, tenant_id: UUID, head: int) -> None:
        """It has changed since `head`: ask again, unless somebody has already."""
        known = self._known.get(tenant_id)
        if known is not None and known.head <= head:
            del self._known[tenant_id]

    async def _load(self, tenant_id: UUID) -> Known:
        async with self._loading:
            if known := self._known.get(tenant_id):
                return known
            async with self._database.tenant(tenant_id) as connection:
                found = await views.schemas(connection, tenant_id)
            versions = dict(zip(found.types, found.versions, strict=True))
            known = self._known[tenant_id] = Known(found.head, versions)
            if len(self._known) > MOST_TENANTS:
                self._known.popitem(last=False)
            return known

    async def _faults(self, known: Known, entry: Entry, at: str) -> list[Fault]:
        self._check_rest(entry.tenant_id)
        key = (entry.tenant_id, entry.type, known.versions[entry.type])
        checker = self._checkers.get(key) or await self._compile(*key)
        if checker is None:
            return []
        if key in self._checkers:
            self._checkers.move_to_end(key)
        with self._timed(entry.tenant_id):
            return checker.faults(entry.state, at)

    async def _compile(
        self, tenant_id: UUID, event_type: str, version: int
    ) -> Checker | None:
        """The type's checker; None: the schema has gone, and the log will say so."""
        async with self._database.tenant(tenant_id) as connection:
            row = await views.event_type(connection, tenant_id, event_type)
        if row is None or row.schema is None:
            return None
        with self._timed(tenant_id):
            checker = Checker(row.schema)
        if row.schema_version == version:
            self._keep((tenant_id, event_type, version), checker)
        return checker

    def _keep(self, key: tuple[UUID, str, int], checker: Checker) -> None:
        before = self._checkers.pop(key, None)
        self._bytes += checker.size - (before.size if before else 0)
        self._checkers[key] = checker
        while self._bytes > CHECKER_BYTES and len(self._checkers) > 1:
            self._bytes -= self._checkers.popitem(last=False)[1].size

    @contextmanager
    def _timed(self, tenant_id: UUID) -> Iterator[None]:
        begin = time.thread_time()
        yield
        spent = time.thread_time() - begin
        if spent > SLOW_SECONDS:
            self._resting[tenant_id] = time.monotonic() + RESTS * spent

    def _check_rest(self, tenant_id: UUID) -> None:
        until = self._resting.get(tenant_id)
        if until is None:
            return
        if until > time.monotonic():
            raise Unavailable("checking this tenant's events takes too long; try later")
        del self._resting[tenant_id]
