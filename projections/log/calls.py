"""Calls of the log's functions: parameters made from requests, outcomes from rows."""

from collections.abc import Sequence
from typing import Any

import psycopg

from domain.errors import (
    CausationTooDeep,
    DomainError,
    EventExists,
    LimitReached,
    NotFound,
    Outdated,
    RefusedEntry,
    Repeated,
    VersionConflict,
)
from domain.log.entry import Appended, Claim, Entry, Statement
from projections.log.columns import (
    Bigints,
    Bytes,
    Column,
    Integers,
    Texts,
    Times,
    Uuids,
)
from projections.log.request_queue import Answer, Request
from projections.sql import Queries

QUERIES = Queries("projections.log")
OURS = "DB001"  # what a statement of ours found does not hold; see `require`


_ENTRY = (
    Uuids, Integers, Texts, Texts, Bigints, Texts, Texts,
    Bytes, Bytes, Texts, Texts, Texts, Texts,
    Texts, Times, Bytes, Texts, Bigints,
    Bytes,
)  # fmt: skip
_CLAIM = (Integers, Uuids, Texts, Bytes, Uuids, Uuids)


def append(group: Sequence[Request]) -> tuple[Any, list[Column]]:
    """The call that appends a group, and its parameters."""
    claims = [
        (number, claim)
        for number, request in enumerate(group)
        if (claim := request.claim) is not None
    ]
    if not claims:
        return QUERIES["append"], _typed(_ENTRY, arrays(group))
    columns = _typed(_ENTRY, arrays(group)) + _typed(_CLAIM, _claims(claims))
    return QUERIES["append_kept"], columns


def arrays(group: Sequence[Request]) -> list[list[Any]]:
    """The parameters of log_append: a list for each column."""
    rows: list[tuple[Any, ...]] = [
        (e.tenant_id, number, e.event_id, e.stream, e.expected_version, e.type, e.topic,
         e.state, e.metadata, e.source, e.subject, e.actor, e.correlation_id,
         e.causation_id, e.occurred_at, e.fingerprint, e.source_id, request.checked,
         e.trace)
        for number, request in enumerate(group)
        for e in request.entries
    ]  # fmt: skip
    return [list(column) for column in zip(*rows, strict=True)]


def _typed(kinds: Sequence[type[Column]], lists: Sequence[list[Any]]) -> list[Column]:
    return [kind(values) for kind, values in zip(kinds, lists, strict=True)]


def keep_command(claim: Claim, entries: Sequence[Entry]) -> Statement:
    """What a command writes down under its key, after its append."""
    params = {
        "owner": claim.owner,
        "key": claim.key,
        "fingerprint": claim.fingerprint,
        "run": claim.run,
        "made": claim.made,
        "tenant_id": entries[0].tenant_id,
        "event_ids": [entry.event_id for entry in entries],
    }
    return Statement(QUERIES["keep_command"], params)


def outcome(entries: Sequence[Entry], rows: Sequence[Any]) -> Answer | Exception:
    """What the log said of one request: all of it appended, or why not."""
    conflicts = [
        (number, error)
        for number, (entry, row) in enumerate(zip(entries, rows, strict=True))
        if (error := _conflict(entry, row))
    ]
    if conflicts:
        return _all_told(conflicts)
    return [
        _appended(row, row.event_id, replayed=row.answer == "replayed") for row in rows
    ]


def _all_told(conflicts: Sequence[tuple[int, DomainError]]) -> DomainError:
    """The first conflict, which knows of the others."""
    _, first = conflicts[0]
    first.refused = [
        RefusedEntry(number, error.code, error.detail)
        for number, error in conflicts
        if not isinstance(error, Outdated)  # nothing that who sent it could put right
    ]
    return first


def receipts(entries: Sequence[Entry], rows: Sequence[Any]) -> Answer:
    """The same where all of it is known to be in the log, by this request."""
    return [
        _appended(row, entry.event_id) for entry, row in zip(entries, rows, strict=True)
    ]


def refusal(error: Exception) -> Exception:
    """A database error as the domain's; one the domain has no word for stays itself."""
    if not isinstance(error, psycopg.Error) or error.sqlstate != OURS:
        return error
    code, detail = error.diag.message_primary, error.diag.message_detail or ""
    match code:
        case "version_conflict":
            return VersionConflict("", 0, int(detail))
        case "limit_reached":
            return LimitReached(detail)
        case "not_found":
            return NotFound(detail)
        case "repeated":
            return Repeated()
    return error


def _claims(claims: Sequence[tuple[int, Claim]]) -> list[list[Any]]:
    rows = [
        (number, c.owner, c.key, c.fingerprint, c.run, c.made) for number, c in claims
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _appended(row: Any, event_id: str, *, replayed: bool = False) -> Appended:
    return Appended(
        event_id,
        row.log_position,
        row.position,
        row.stream,
        row.version,
        row.recorded_at,
        replayed,
    )


def _conflict(entry: Entry, row: Any) -> DomainError | None:
    match row.answer:
        case "version_conflict":
            return VersionConflict(
                entry.stream, entry.expected_version or 0, row.version
            )
        case "event_exists":
            return EventExists(row.event_id, row.position)
        case "causation_too_deep":
            return CausationTooDeep()
        case "outdated":
            return Outdated()
    return None
