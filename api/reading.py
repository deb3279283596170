"""Reading what was sent: strictly, once, and with every wrong place named.

Not by Litestar, which converts as it reads ("15" becomes 15) and skips what it does not
know: here a body and a query string are what the contract says, or refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw, Struct

from api import wording
from api.errors import WrongMediaType, unknown
from domain import json_text
from domain.errors import Fault, Invalid
from domain.json_pointer import escape

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

# `data` and its like stand one level down in a body, and may use all levels themselves.
WRAPPED = json_text.MAX_DEPTH + 1

_AT = re.compile(r" - at `(?P<path>.*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_ONLY_SHOWN = "it is not set here: leave it out, or send what was shown"
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_JSON = re.compile(
    rb"application/json(?:\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE
)


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """Whether the body says that it is JSON; raises WrongMediaType."""
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not _JSON.fullmatch(content_type):
        raise WrongMediaType
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise WrongMediaType("the body must not be compressed")


def body(raw: bytes, kind: type[S], *, max_depth: int = WRAPPED) -> S:
    """The body as a `kind`. Raises MalformedJson, or Invalid with all faults."""
    json_text.check(raw, max_depth=max_depth)
    try:
        return decode(raw, kind)
    except msgspec.ValidationError:
        raise Invalid(faults(raw, kind)) from None


def faults(raw: bytes, kind: type[Struct], at: str = "#") -> list[Fault]:
    """Everything that keeps checked JSON from being a `kind`, member by member."""
    sent = members(raw, at)
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found: list[Fault] = []
    for name, value in sent.items():
        if name in known:
            found += mistyped(value, known[name].type, f"{at}/{name}")
        else:
            found.append(unknown(name, under=at))
    for name, field in known.items():
        if field.required and name not in sent:
            found.append(Fault(f"{at}/{name}", "invalid", "it is required"))
    return found


def members(raw: bytes, at: str = "#") -> dict[str, Raw]:
    """The members of checked JSON that must be an object. Raises Invalid."""
    try:
        return decode(raw, dict[str, Raw])
    except msgspec.ValidationError:
        raise Invalid([Fault(at, "invalid", "expected an object")]) from None


def mistyped(value: Raw, kind: Any, at: str) -> list[Fault]:
    """Why a member's value cannot be a `kind`; of what is no object, the first place."""
    try:
        decode(value, kind)
    except msgspec.ValidationError as error:
        return _within(value, kind, at) or [_fault(error, kind, at)]
    return []


def _within(value: Raw, kind: Any, at: str) -> list[Fault]:
    """All that is wrong with an object's own members, where an object belongs."""
    for one in _alternatives(kind):
        is_struct = isinstance(one, type) and issubclass(one, Struct)
        if is_struct and bytes(value).startswith(b"{"):
            return faults(bytes(value), one, at)
        if get_origin(one) is dict and bytes(value).startswith(b"{"):
            _, of_each = get_args(one)
            return [
                fault
                for name, member in members(bytes(value), at).items()
                for fault in mistyped(member, of_each, f"{at}/{escape(name)}")
            ]
    return []


def changes(
    raw: bytes, kind: type[Struct], shown: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Fault]]:
    """What checked JSON sets of a `kind`, by name, and what is wrong with the rest of it.

    What is only shown may be sent back as it was: it is compared, and passed over.
    """
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    found: list[Fault] = []
    for name, value in members(raw).items():
        if name not in fields:
            if name not in shown:
                found.append(unknown(name))
            elif not _is_same(value, shown[name]):
                found.append(Fault(f"#/{escape(name)}", "unknown_field", _ONLY_SHOWN))
        elif wrong := mistyped(value, fields[name], f"#/{name}"):
            found += wrong
        else:
            values[name] = decode(value, fields[name])
    return values, found


def parameters(query_string: bytes, kind: type[S]) -> S:
    """The query string as a `kind`; a list is a repeated parameter. Raises Invalid."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    sent: dict[str, list[str]] = {}
    for name, value in pairs(query_string):
        sent.setdefault(name, []).append(value)
    values: dict[str, Any] = {}
    found: list[Fault] = []
    for name, texts in sent.items():
        if name not in fields:
            found.append(unknown(name, parameter=True))
        else:
            found += _convert(name, texts, fields[name].type, values)
    if found:
        raise Invalid(found)
    return kind(**values)


def pairs(query_string: bytes) -> list[tuple[str, str]]:
    """The parameters in their order."""
    return parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)


def decode(raw: bytes | Raw, kind: type[T]) -> T:
    """JSON as a `kind`. Raises msgspec.ValidationError."""
    of_any: Any = kind  # mypy does not know that types can be hashed
    value: T = _decoder(of_any).decode(raw)
    return value


@lru_cache(256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _is_same(value: Raw, shown: Any) -> bool:
    sent = json_text.read(bytes(value))
    encode = msgspec.json.encode
    return encode(sent, order="sorted") == encode(shown, order="sorted")


def _convert(
    name: str, texts: Sequence[str], kind: Any, values: dict[str, Any]
) -> list[Fault]:
    kinds = list(_alternatives(kind))
    is_list = any(get_origin(one) is list for one in kinds)
    if len(texts) > 1 and not is_list:
        return [Fault(name, "invalid", "it may be given once", parameter=True)]
    # To msgspec 1e2 is an integer and `null` is None; in a query they are texts.
    if int in kinds and not _INTEGER.fullmatch(texts[0]):
        return [Fault(name, "invalid", "expected an integer", parameter=True)]
    if bool in kinds and texts[0] not in ("true", "false"):
        return [Fault(name, "invalid", "expected true or false", parameter=True)]
    try:
        given: Any = list(texts) if is_list else texts[0]
        # Read loosely, "0.5" would be a time in 1970.
        value = msgspec.convert(given, kind, strict=datetime in kinds)
    except msgspec.ValidationError as error:
        detail = wording.in_query(wording.expected(error, kind), texts[0])
        return [Fault(name, "invalid", detail, parameter=True)]
    if value is None:
        return [Fault(name, "invalid", "null is no value here", parameter=True)]
    values[name] = value
    return []


def _alternatives(kind: Any) -> Iterator[Any]:
    """The types within Annotated and unions."""
    if get_origin(kind) in (list, dict) or not get_args(kind):
        yield kind
    else:
        for part in get_args(kind):
            yield from _alternatives(part)


def _fault(error: msgspec.ValidationError, kind: Any, at: str) -> Fault:
    match = _AT.search(str(error))
    place = at + _pointer(match["path"]) if match else at
    if name := _UNKNOWN.match(str(error)):
        return unknown(name[1], under=place)
    return Fault(place, "invalid", wording.expected(error, kind))


def _pointer(path: str) -> str:
    """msgspec's `$.retry.delays[2]` as `/retry/delays/2`, as far as it names members."""
    steps = []
    rest = path.removeprefix("$")
    while step := _STEP.match(rest):
        steps.append("/" + escape(step[1] or step[2]))
        rest = rest[step.end() :]
    return "".join(steps)
