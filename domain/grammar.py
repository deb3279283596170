"""What names and texts may look like; each check answers the faults it found.

The limits and alphabets are those of the public contract. Texts are judged before they
are queued: one that the database cannot take would fail the whole group it travels in.
"""

import re
from typing import NamedTuple

from domain import json_text
from domain.errors import Fault

RESERVED = "daybook"  # the first segment of the types that are ours alone
METADATA_ENTRIES = 50
METADATA_BYTES = 8 * 1024
METADATA_KEY = 64

# C0, DEL and C1: the characters of Unicode category Cc, U+0000 among them.
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_STREAM_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~:@+=-]+"


class Rule(NamedTuple):
    """A text's shape and length in characters, and how to say it to who broke it."""

    shape: re.Pattern[str]
    longest: int
    detail: str

    def holds(self, text: str) -> bool:
        """Whether `text` keeps the rule; the length first, it is cheap."""
        return len(text) <= self.longest and self.shape.fullmatch(text) is not None


TYPE = Rule(
    re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"),
    128,
    "a type is words of A-Z a-z 0-9 _ - joined by dots, 128 characters at most",
)
STREAM = Rule(
    re.compile(f"{_STREAM_SEGMENT}(?:/{_STREAM_SEGMENT})*"),
    256,
    "a stream is segments of A-Z a-z 0-9 . _ ~ : @ + = - joined by slashes, none of "
    "them empty, '.' or '..', 256 characters at most",
)
EVENT_ID = Rule(
    re.compile(r"[A-Za-z0-9_-]{8,}"),
    64,
    "an id is 8 to 64 characters of A-Z a-z 0-9 _ -",
)
SUBJECT = Rule(
    re.compile(f"[^{_CONTROLS}]+"),
    256,
    "a subject is 1 to 256 characters, none of them a control character",
)
# A URI reference (RFC 3986, section 4.1), judged no closer than CloudEvents readers do.
SOURCE = Rule(
    re.compile(rf"[^\s{_CONTROLS}]+"),
    256,
    "a source is 1 to 256 characters without spaces or control characters",
)
SOURCE_ID = Rule(
    re.compile(f"[^{_CONTROLS}]+"),
    256,
    "the id of a CloudEvent is 1 to 256 characters, none of them a control character",
)
NAME = Rule(
    re.compile(f"[^{_CONTROLS}]+"),
    128,
    "a name is 1 to 128 characters, none of them a control character",
)
DESCRIPTION = Rule(
    re.compile(r"[^\x00]*"),
    1024,
    "it has at most 1,024 characters, and no U+0000",
)


def check_type(text: str, pointer: str = "#/type") -> list[Fault]:
    """Whether `text` can name a type of event at all, ours included."""
    return _check(TYPE, text, pointer)


def check_published_type(text: str, pointer: str = "#/type") -> list[Fault]:
    """Whether a tenant may publish events of this type."""
    if is_reserved(text):
        detail = "types that begin with 'daybook.' are Daybook's own"
        return [Fault(pointer, "type_reserved", detail)]
    return _check(TYPE, text, pointer)


def is_reserved(event_type: str) -> bool:
    """Whether the type is one of Daybook's own."""
    return event_type.partition(".")[0] == RESERVED


def check_stream(text: str, pointer: str = "#/stream") -> list[Fault]:
    """Whether a tenant may publish to a stream of this name; `$...` ones are ours."""
    return _check(STREAM, text, pointer)


def check_event_id(text: str, pointer: str = "#/id") -> list[Fault]:
    """Whether `text` can be an event's id; no dots, as Standard Webhooks has it."""
    return _check(EVENT_ID, text, pointer)


def check_subject(text: str, pointer: str = "#/subject") -> list[Fault]:
    """Whether `text` can be what or whom an event is about."""
    return _check(SUBJECT, text, pointer)


def check_source(text: str, pointer: str = "#/source") -> list[Fault]:
    """Whether `text` can be where an event comes from."""
    return _check(SOURCE, text, pointer)


def check_source_id(text: str, pointer: str = "#/id") -> list[Fault]:
    """Whether `text` can be the id that an event has at its source."""
    return _check(SOURCE_ID, text, pointer)


def check_name(text: str, pointer: str = "#/name") -> list[Fault]:
    """Whether `text` can be the name people give a thing."""
    return _check(NAME, text, pointer)


def check_description(text: str, pointer: str = "#/description") -> list[Fault]:
    """Whether `text` can be what people say of a thing, in lines if they like."""
    return _check(DESCRIPTION, text, pointer)


def check_metadata(raw: bytes, pointer: str = "#/metadata") -> list[Fault]:
    """Whether `raw`, JSON bytes to be kept, can be metadata; values are any JSON."""
    detail = _metadata_fault(raw)
    return [] if detail is None else [Fault(pointer, "invalid", detail)]


def _metadata_fault(raw: bytes) -> str | None:
    if len(raw) > METADATA_BYTES:
        return f"metadata is at most {METADATA_BYTES:,} bytes"
    try:
        json_text.check(raw)
    except json_text.MalformedJson as error:
        return error.detail
    members = json_text.read(raw)
    if not isinstance(members, dict):
        return "metadata is an object"
    if len(members) > METADATA_ENTRIES:
        return f"metadata has at most {METADATA_ENTRIES} entries"
    if any(not 1 <= len(key) <= METADATA_KEY for key in members):
        return f"a metadata key is 1 to {METADATA_KEY} characters"
    return None


def _check(rule: Rule, text: str, pointer: str) -> list[Fault]:
    return [] if rule.holds(text) else [Fault(pointer, "invalid", rule.detail)]
