"""CloudEvents 1.0 as they come in by HTTP: one, a batch, or one in headers and body.

`data` is a JSON object, kept byte for byte. `time` is when it occurred, the extension
`stream` names its stream, `correlationid`, `causationid` and `traceparent` mean what they
mean on the way out; other extensions are metadata. The event gets an id of ours; its own is
unique with its `source`.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Raw

from api import limits, reading, shapes
from api.authentication import Caller
from api.errors import TooLarge, unknown
from domain import grammar, ids, json_text, traces
from domain.errors import Fault, Invalid
from domain.log.entry import Entry

HEADER = "ce-"  # how attributes begin that are headers
_NAME = re.compile(r"[a-z0-9]+")
_PLAIN = re.compile(rb'".*"|true|false|-?[0-9]+', re.DOTALL)
_JSON = re.compile(r"[^;/\s]+/(?:[^;/\s]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Sent(NamedTuple):
    """A CloudEvent that may go into the log."""

    texts: Mapping[str, str]
    time: datetime | None
    data: bytes
    metadata: bytes | None
    trace: bytes | None


def one(raw: bytes) -> Sent:
    """The event of a body in structured mode. Raises MalformedJson, TooLarge, Invalid."""
    if len(raw) > limits.EVENT_BYTES:
        raise TooLarge("an event has at most 256 KiB")
    json_text.check(raw, max_depth=reading.WRAPPED)
    return _read(reading.members(raw), "#")


def batch(raw: bytes) -> list[Sent]:
    """The events of a batch. Raises MalformedJson, TooLarge, Invalid with all faults."""
    json_text.check(raw, max_depth=reading.WRAPPED + 1)
    try:
        items = reading.decode(raw, list[Raw])
    except msgspec.ValidationError:
        raise Invalid([Fault("#", "invalid", "expected an array")]) from None
    if len(items) > limits.BATCH_EVENTS:
        raise TooLarge(f"a batch has at most {limits.BATCH_EVENTS:,} events")
    if not items:
        raise Invalid([Fault("#", "invalid", "expected an event at least")])
    read: list[Sent] = []
    faults: list[Fault] = []
    for number, item in enumerate(items):
        try:
            at = f"#/{number}"
            read.append(_read(reading.members(bytes(item), at), at))
        except Invalid as error:
            faults += error.faults
    if faults := faults or list(_doubles(read)):
        raise Invalid(faults)
    return read


def in_headers(headers: Iterable[tuple[bytes, bytes]], raw: bytes) -> Sent:
    """The event of binary mode: its attributes in headers, the body its data.

    Raises MalformedJson, TooLarge, Invalid with places as `of_headers` has them.
    """
    if len(raw) > limits.EVENT_BYTES:
        raise TooLarge("an event has at most 256 KiB")
    json_text.check(raw)
    members: dict[str, Raw] = {}
    for field, value in headers:
        name = field.decode("latin-1")
        if name == "content-type":
            members["datacontenttype"] = _text(value, name)
        elif name in (f"{HEADER}data", f"{HEADER}datacontenttype"):
            raise Invalid([unknown(name, parameter=True)])
        elif name.startswith(HEADER):
            attribute = name.removeprefix(HEADER)
            if attribute in members:
                detail = "it may be given once"
                raise Invalid([Fault(name, "invalid", detail, parameter=True)])
            members[attribute] = _text(value, name)
    return _read(members | {"data": Raw(raw)}, "#")


def of_headers(error: Invalid) -> Invalid:
    """The same faults, with their places as who sent headers and a body knows them."""
    return Invalid([_in_header(fault) for fault in error.faults])


def entry(sent: Sent, caller: Caller) -> Entry:
    """What goes into the log; without a stream the event is one of its own."""
    event_id = ids.fresh("evt")
    texts = sent.texts
    return Entry(
        tenant_id=caller.tenant_id,
        event_id=event_id,
        stream=texts.get("stream", event_id),
        type=texts["type"],
        state=sent.data,
        metadata=sent.metadata,
        source=texts["source"],
        source_id=texts["id"],
        subject=texts.get("subject"),
        actor=caller.actor,
        correlation_id=texts.get("correlationid"),
        causation_id=texts.get("causationid"),
        occurred_at=sent.time,
        fingerprint=_fingerprint(sent),
        trace=sent.trace,
    )


def is_json(media_type: str) -> bool:
    """Whether data of this media type can be kept."""
    return _JSON.fullmatch(media_type) is not None


def _check_version(text: str, at: str) -> list[Fault]:
    return [] if text == "1.0" else [Fault(at, "invalid", "the version here is 1.0")]


def _check_content(text: str, at: str) -> list[Fault]:
    return [] if is_json(text) else [Fault(at, "invalid", "data is JSON here")]


_REQUIRED = ("specversion", "id", "source", "type", "data")
_CHECKS: Mapping[str, Callable[[str, str], list[Fault]]] = {
    "specversion": _check_version,
    "id": grammar.check_source_id,
    "source": grammar.check_source,
    "type": grammar.check_published_type,
    "datacontenttype": _check_content,
    "dataschema": grammar.check_source,  # a URI, as that is
    "subject": grammar.check_subject,
    "stream": grammar.check_stream,
    "correlationid": grammar.check_event_id,
    "causationid": grammar.check_event_id,
}


def _read(members: dict[str, Raw], at: str) -> Sent:
    sent = {name: value for name, value in members.items() if bytes(value) != b"null"}
    faults = [
        Fault(f"{at}/{name}", "invalid", "it is required")
        for name in _REQUIRED
        if name not in sent
    ]
    texts = _texts(sent, at, faults)
    trace = _trace(sent)
    time = _time(sent, f"{at}/time", faults)
    data = bytes(sent.get("data", b"{}"))
    if not data.startswith(b"{"):
        faults.append(Fault(f"{at}/data", "invalid", "expected an object"))
    metadata = _metadata(sent, texts, at, faults)
    if len(data) + len(metadata or b"") > limits.EVENT_BYTES:
        faults.append(Fault(at, "too_large", "an event has at most 256 KiB"))
    if faults:
        raise Invalid(faults)
    return Sent(texts, time, data, metadata, trace)


def _texts(sent: dict[str, Raw], at: str, faults: list[Fault]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, check in _CHECKS.items():
        if name in sent:
            place = f"{at}/{name}"
            if wrong := reading.mistyped(sent[name], str, place):
                faults += wrong
            else:
                texts[name] = reading.decode(sent[name], str)
                faults += check(texts[name], place)
    return texts


def _trace(sent: dict[str, Raw]) -> bytes | None:
    """What the extension `traceparent` names; one that names nothing stays metadata.

    It says who sends the event this time, so a repeat may come with another.
    """
    found = traces.parse(bytes(sent.get("traceparent", b"")).strip(b'"'))
    if found is None:
        return None
    del sent["traceparent"]
    return found.packed()


def _time(sent: dict[str, Raw], place: str, faults: list[Fault]) -> datetime | None:
    if "time" not in sent:
        return None
    if wrong := reading.mistyped(sent["time"], shapes.TimeIn, place):
        faults += wrong
        return None
    time = reading.decode(sent["time"], datetime)
    faults += shapes.check_time(time, place)
    return time


def _metadata(
    sent: dict[str, Raw], texts: Mapping[str, str], at: str, faults: list[Fault]
) -> bytes | None:
    """The extensions that mean nothing here, and what the log has no place for."""
    kept = {name: sent[name] for name in ("dataschema",) if name in texts}
    if texts.get("datacontenttype", "").partition(";")[0] not in (
        "",
        "application/json",
    ):
        kept["datacontenttype"] = sent["datacontenttype"]
    for name in sorted(sent.keys() - _CHECKS.keys() - {"time", "data"}):
        if _NAME.fullmatch(name) is None:
            faults.append(unknown(name, under=at))
        elif not _PLAIN.fullmatch(sent[name]):
            detail = "an extension is a text, a boolean or an integer"
            faults.append(Fault(f"{at}/{name}", "invalid", detail))
        else:
            kept[name] = sent[name]
    if not kept:
        return None
    metadata = msgspec.json.encode(kept)
    faults += grammar.check_metadata(metadata, at)
    return metadata


def _text(value: bytes, header: str) -> Raw:
    """A header's value as JSON: percent-decoded, without quotes around it."""
    text = value.decode("latin-1")
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        return Raw(msgspec.json.encode(unquote_to_bytes(text).decode()))
    except UnicodeDecodeError:
        detail = "it is not UTF-8, percent-encoded"
        raise Invalid([Fault(header, "invalid", detail, parameter=True)]) from None


def _in_header(fault: Fault) -> Fault:
    _, _, rest = fault.pointer.partition("/")
    name, slash, below = rest.partition("/")
    if fault.parameter or not name:
        return fault
    if name == "data":
        return fault._replace(pointer=f"#{slash}{below}")
    header = "content-type" if name == "datacontenttype" else f"{HEADER}{name}"
    return fault._replace(pointer=header, parameter=True)


def _fingerprint(sent: Sent) -> bytes:
    """Tells a repeat from another event of the same source and id; the form is the same."""
    time = None if sent.time is None else sent.time.astimezone(UTC)
    texts = {
        name: sent.texts[name] for name in sorted(sent.texts) if name != "specversion"
    }
    content = [texts, time, Raw(sent.data), Raw(sent.metadata or b"null")]
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=16).digest()


def _doubles(read: Sequence[Sent]) -> Iterator[Fault]:
    """A source and id twice in one batch: fine for a repeat, and for nothing else."""
    seen: dict[tuple[str, str], bytes] = {}
    for number, sent in enumerate(read):
        content = _fingerprint(sent)
        if (
            seen.setdefault((sent.texts["source"], sent.texts["id"]), content)
            != content
        ):
            detail = "another event of this batch has this source and id"
            yield Fault(f"#/{number}/id", "invalid", detail)
