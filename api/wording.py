"""What a value should have been, in the words of JSON: msgspec has those of Python."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, get_args, get_origin

import msgspec

TIME = "expected a time with its offset, like 2026-11-20T08:00:00Z"
PLUS = "; in a query the + of an offset is written %2B"

_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "datetime": "a time",
}
_PLACE = re.compile(r" - at `.*`$")
_NAMED = re.compile(r"`([^`]*)`")


def expected(error: msgspec.ValidationError, kind: Any) -> str:
    """What msgspec says of a value that is no `kind`, for who never saw its types."""
    text = _PLACE.sub("", str(error))
    if text.startswith("Invalid enum value") and (known := list(_choices(kind))):
        return f"expected {_either(known)}"
    if "RFC3339" in text or "timezone" in text:
        return TIME
    text = _NAMED.sub(_named, text)
    return text[:1].lower() + text[1:]


def in_query(detail: str, sent: str) -> str:
    """The same for a parameter; a + that was not escaped has come as a blank."""
    return detail + PLUS if detail == TIME and " " in sent else detail


def _named(match: re.Match[str]) -> str:
    return _either([_NAMES.get(name, name) for name in match[1].split(" | ")])


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _choices(kind: Any) -> Iterator[str]:
    """The values that a text may have; then what may stand there that is no text."""
    if get_origin(kind) is Literal:
        yield from map(str, get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield "an object"
    elif kind is not datetime:
        for part in get_args(kind):
            yield from _choices(part)
