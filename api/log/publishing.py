"""From what a publisher sends to entries of the log: the checks, and nothing slow.

Every publish comes through here, so a good event is decoded once and looked at field by
field; only a bad one is looked at again, to name all that is wrong with it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Raw

from api import answers, limits, reading, shapes
from api.answers import Answer
from api.authentication import Caller
from api.errors import TooLarge
from api.log.schemas import (
    PublishBatch,
    Published,
    PublishedBatch,
    PublishedInBatch,
    PublishEvent,
)
from domain import grammar, ids, json_text
from domain.errors import Fault, Invalid
from domain.log.entry import Appended, Entry

BATCH_WRAPPED = json_text.MAX_DEPTH + 3  # a batch's `data` stands three levels down

_CHECKS: tuple[tuple[str, Callable[[str, str], list[Fault]]], ...] = (
    ("type", grammar.check_published_type),
    ("stream", grammar.check_stream),
    ("id", grammar.check_event_id),
    ("source", grammar.check_source),
    ("subject", grammar.check_subject),
    ("correlation_id", grammar.check_event_id),
    ("causation_id", grammar.check_event_id),
)
_NO_METADATA = (b"", b"null")
_REPLAYED = {"Idempotent-Replayed": "true"}


def event(raw: bytes) -> PublishEvent:
    """One event. Raises MalformedJson, or Invalid with all faults."""
    json_text.check(raw, max_depth=reading.WRAPPED)
    try:
        sent = reading.decode(raw, PublishEvent)
    except msgspec.ValidationError:
        raise Invalid(_faults(raw, "#")) from None
    if faults := _check(sent, "#"):
        raise Invalid(faults)
    return sent


def batch(raw: bytes) -> Sequence[PublishEvent]:
    """A batch's events. Raises MalformedJson, TooLarge, Invalid with all faults."""
    json_text.check(raw, max_depth=BATCH_WRAPPED)
    try:
        events = reading.decode(raw, PublishBatch).events
    except msgspec.ValidationError:
        raise Invalid(_batch_faults(raw)) from None
    faults = [
        fault
        for number, sent in enumerate(events)
        for fault in _check(sent, f"#/events/{number}")
    ]
    if faults := faults or list(_doubles(events)):
        raise Invalid(faults)
    return events


def entry(sent: PublishEvent, caller: Caller) -> Entry:
    """What goes into the log; without a stream the event is one of its own."""
    event_id = sent.id or ids.fresh("evt")
    metadata = bytes(sent.metadata)
    return Entry(
        tenant_id=caller.tenant_id,
        event_id=event_id,
        stream=sent.stream or event_id,
        type=sent.type,
        state=bytes(sent.data),
        expected_version=sent.expected_version,
        metadata=None if metadata in _NO_METADATA else metadata,
        source=sent.source,
        subject=sent.subject,
        actor=caller.actor,
        correlation_id=sent.correlation_id,
        causation_id=sent.causation_id,
        occurred_at=sent.occurred_at,
        fingerprint=_fingerprint(sent) if sent.id else None,
    )


def published(receipt: Appended) -> Published:
    """The log's answer as it is shown."""
    return Published(
        id=receipt.event_id,
        position=receipt.position,
        stream=receipt.stream,
        version=receipt.version,
        recorded_at=shapes.time(receipt.recorded_at),
    )


def answer(receipt: Appended) -> Answer:
    """What is answered to who published one event; 200 for a repeat."""
    headers = answers.position(receipt.position)
    headers["Location"] = f"/api/v1/events/{receipt.event_id}"
    if receipt.replayed:
        return answers.json(published(receipt), headers=headers | _REPLAYED)
    return answers.json(published(receipt), status=202, headers=headers)


def published_batch(receipts: Sequence[Appended]) -> PublishedBatch:
    """The log's answers in the order of what was sent."""
    return PublishedBatch(
        [
            PublishedInBatch(
                **msgspec.structs.asdict(published(receipt)),
                replayed=receipt.replayed,
            )
            for receipt in receipts
        ]
    )


def _fingerprint(sent: PublishEvent) -> bytes:
    """Tells a repeat from another event under the same id, by what was sent.

    Fields that were left out are left out of it, so one that a later version adds does not
    change the fingerprints of events that are there already.
    """
    content = {
        name: value
        for name in sent.__struct_fields__
        if (value := getattr(sent, name)) is not None
        and not (isinstance(value, Raw) and bytes(value) in _NO_METADATA)
    }
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=16).digest()


def _check(sent: PublishEvent, at: str) -> list[Fault]:
    """What is wrong with an event whose members are of the right types."""
    faults: list[Fault] = []
    for name, check in _CHECKS:
        value = getattr(sent, name)
        if value is not None:
            faults += check(value, f"{at}/{name}")
    data, metadata = bytes(sent.data), bytes(sent.metadata)
    if not data.startswith(b"{"):
        faults.append(Fault(f"{at}/data", "invalid", "expected an object"))
    if metadata not in _NO_METADATA:
        faults += grammar.check_metadata(metadata, f"{at}/metadata")
    if sent.expected_version is not None and sent.stream is None:
        faults.append(Fault(f"{at}/expected_version", "invalid", "it needs `stream`"))
    if sent.occurred_at is not None:
        faults += shapes.check_time(sent.occurred_at, f"{at}/occurred_at")
    if len(data) + len(metadata) > limits.EVENT_BYTES:
        faults.append(Fault(at, "too_large", "an event has at most 256 KiB"))
    return faults


def _faults(raw: bytes, at: str) -> list[Fault]:
    """Everything wrong with an event, its well-typed members among it."""
    faults = reading.faults(raw, PublishEvent, at)
    wrong = {fault.pointer for fault in faults}
    sent = reading.members(raw, at)
    for name, check in _CHECKS:
        if name in sent and f"{at}/{name}" not in wrong:
            value: str | None = msgspec.json.decode(sent[name])
            faults += [] if value is None else check(value, f"{at}/{name}")
    if "data" in sent and not bytes(sent["data"]).startswith(b"{"):
        faults.append(Fault(f"{at}/data", "invalid", "expected an object"))
    return faults


def _batch_faults(raw: bytes) -> list[Fault]:
    sent = reading.members(raw)
    try:
        events = reading.decode(sent["events"], list[Raw])
    except (KeyError, msgspec.ValidationError):
        return reading.faults(raw, PublishBatch)
    if len(events) > limits.BATCH_EVENTS:
        raise TooLarge(f"a batch has at most {limits.BATCH_EVENTS:,} events")
    others = [
        fault
        for fault in reading.faults(raw, PublishBatch)
        if not fault.pointer.startswith("#/events/")
    ]
    return others + [
        fault
        for number, one in enumerate(events)
        for fault in _entry_faults(bytes(one), f"#/events/{number}")
    ]


def _entry_faults(raw: bytes, at: str) -> list[Fault]:
    try:
        return _check(reading.decode(raw, PublishEvent), at)
    except msgspec.ValidationError:
        pass
    try:
        return _faults(raw, at)
    except Invalid as error:  # it is no object
        return list(error.faults)


def _doubles(events: Sequence[PublishEvent]) -> Iterator[Fault]:
    """An id twice in one batch: fine for a repeat, nothing the log could answer else."""
    seen: dict[str, bytes] = {}
    for number, sent in enumerate(events):
        if sent.id is not None:
            content = _fingerprint(sent)
            if seen.setdefault(sent.id, content) != content:
                detail = "another event of this batch has this id"
                yield Fault(f"#/events/{number}/id", "invalid", detail)
