"""Recording the story: many commands in one call of the log, and going on after a crash."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from domain.application import Log
from domain.errors import NotFound
from domain.log.entry import SYSTEM, Context
from domain.model import AnyAggregate
from examples.construction_site.company.story import LAST_FOLDER, Story
from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.documents import commands as documents

A = TypeVar("A", bound=AnyAggregate)

SEED = 2026
GROUP = 500  # events in one call

Report = Callable[[int], None]


class Collected:
    """Books that keep aggregates at hand, and record what they decided group by group.

    A group is recorded whole or not at all, and the next run of the same story makes the
    same groups: it passes over those whose first event is in the log already.
    """

    def __init__(self, log: Log, report: Report) -> None:
        self._log, self._report = log, report
        self._known: dict[str, AnyAggregate] = {}
        self._pending: dict[str, AnyAggregate] = {}
        self._events = 0
        self._recorded = 0

    def load(self, kind: type[A], originator_id: str) -> A:
        """The aggregate as the story has it; raises NotFound."""
        found = self._known.get(originator_id)
        if not isinstance(found, kind):
            raise NotFound
        return found

    def record(self, aggregate: AnyAggregate, context: Context) -> None:
        """Put it to what is recorded next."""
        self._known[aggregate.id] = self._pending[aggregate.id] = aggregate
        self._events = sum(len(one.pending_events) for one in self._pending.values())
        if self._events >= GROUP:
            self.flush()

    def flush(self) -> None:
        """Record what waits. Raises DomainError."""
        group = [one for one in self._pending.values() if one.pending_events]
        if group and not self._is_recorded(group[0]):
            self._log.record_all(group, Context(SYSTEM))
        for one in group:
            one.collect_events()
        self._recorded += self._events
        self._pending, self._events = {}, 0
        self._report(self._recorded)

    def _is_recorded(self, aggregate: AnyAggregate) -> bool:
        first = aggregate.pending_events[0].originator_version
        try:
            return self._log.load(type(aggregate), aggregate.id).version >= first
        except NotFound:
            return False


def load(log: Log, tenant_id: UUID, report: Report = lambda recorded: None) -> None:
    """Have the tenant's log tell the story; nothing when it does. Raises DomainError.

    `report` hears how many events there are, after each group.
    """
    desk = Desk(log, tenant_id, Context(SYSTEM))
    if documents.load(desk, LAST_FOLDER).version:
        return
    books = Collected(log, report)
    Story(Desk(books, tenant_id, Context(SYSTEM)), SEED).tell()
    books.flush()
