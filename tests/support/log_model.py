"""The log's rules once more, as plainly as possible: one request after another, in memory.

It knows no groups. `log_append` must answer a group as this answers its requests in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from domain.log.entry import Entry

DEEPEST = 10
OUTDATED = "outdated"  # the type of events that were checked too long ago


class Stored(NamedTuple):
    """An event that is in the log."""

    entry: Entry
    log_position: int
    position: int
    version: int
    depth: int


class Verdict(NamedTuple):
    """What the log answers for one row; None where the answer leaves it open."""

    answer: str
    log_position: int | None = None
    position: int | None = None
    stream: str | None = None
    version: int | None = None
    event_id: str | None = None


@dataclass
class LogModel:
    """All events in order; `base` is how many the log had before."""

    base: int = 0
    events: list[Stored] = field(default_factory=list)

    def append(self, request: Sequence[Entry]) -> list[Verdict]:
        """Decide one request: all of its rows go in, or none."""
        draft = LogModel(self.base, list(self.events))
        verdicts = [draft._decide(entry) for entry in request]
        if all(verdict.answer in ("appended", "replayed") for verdict in verdicts):
            self.events = draft.events
            return verdicts
        return [
            self._unless_it_was_there(entry, verdict)
            for entry, verdict in zip(request, verdicts, strict=True)
        ]

    def _decide(self, entry: Entry) -> Verdict:
        if twin := self._twin(entry):
            return _repeat(entry, twin)
        if entry.type == OUTDATED:
            return Verdict("outdated")
        depth = self._depth(entry)
        if depth > DEEPEST:
            return Verdict("causation_too_deep")
        head = self._head(entry)
        if entry.expected_version not in (None, head):
            return Verdict("version_conflict", version=head)
        stored = Stored(
            entry,
            self.base + len(self.events) + 1,
            sum(e.entry.tenant_id == entry.tenant_id for e in self.events) + 1,
            head + 1,
            depth,
        )
        self.events.append(stored)
        return _repeat(entry, stored)._replace(answer="appended")

    def _unless_it_was_there(self, entry: Entry, verdict: Verdict) -> Verdict:
        """A row's answer in a request that is not appended."""
        if verdict.answer in ("version_conflict", "causation_too_deep", "outdated"):
            return verdict
        if twin := self._twin(entry):
            return _repeat(entry, twin)
        # Its twin, if it has one, is a row of this very request.
        in_vain = verdict.answer in ("appended", "replayed")
        return Verdict("refused" if in_vain else verdict.answer)

    def _find(self, tenant_id: UUID, event_id: str | None) -> Stored | None:
        for stored in self.events:
            if (stored.entry.tenant_id, stored.entry.event_id) == (tenant_id, event_id):
                return stored
        return None

    def _twin(self, entry: Entry) -> Stored | None:
        """What is known by the same: source and the id there, or else the event's id."""
        if entry.source_id is None:
            return self._find(entry.tenant_id, entry.event_id)
        for stored in self.events:
            if _by_source(stored.entry) == _by_source(entry):
                return stored
        return None

    def _depth(self, entry: Entry) -> int:
        cause = self._find(entry.tenant_id, entry.causation_id)
        return cause.depth + 1 if cause else 0

    def _head(self, entry: Entry) -> int:
        return sum(
            (e.entry.tenant_id, e.entry.stream) == (entry.tenant_id, entry.stream)
            for e in self.events
        )


def _by_source(entry: Entry) -> tuple[UUID, str | None, str | None]:
    return entry.tenant_id, entry.source, entry.source_id


def _repeat(entry: Entry, twin: Stored) -> Verdict:
    same = twin.entry.fingerprint == entry.fingerprint
    return Verdict(
        "replayed" if same else "event_exists",
        twin.log_position,
        twin.position,
        twin.entry.stream,
        twin.version,
        twin.entry.event_id,
    )
