"""The shapes of the OpenAPI document, made from the types that routes read and answer.

Two things are added to what the types say: what is called by the name of an id has the
pattern of such ids, wherever it stands; and each shape that is sent has an example.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from api import shapes
from api.examples import BY_SHAPE, Examples
from api.shapes import EventId

REF = "#/components/schemas/{name}"

Ids = Mapping[str, dict[str, Any]]

_UNIONS = ("anyOf", "oneOf", "allOf", "prefixItems")
_EVENT = "^[A-Za-z0-9_-]{8,64}$"
_PATTERNS = {
    "webhook_id": shapes.pattern("wh"),
    "delivery_id": shapes.pattern("dlv"),
    "replay_id": shapes.pattern("rpl"),
    "key_id": shapes.pattern("key"),
    "tenant_id": shapes.pattern("ten"),
    "event_id": _EVENT,
    "correlation_id": _EVENT,
    "causation_id": _EVENT,
    "source_id": "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,256}$",
    "external_id": "^(?!ten_)[!-~]{1,128}$",
    "error_id": "^[0-9]{1,19}$",
    "request_id": "^[A-Za-z0-9_-]{1,64}$",
}


class ProblemError(Struct, omit_defaults=True):
    """One wrong place: in the body by `pointer`, else by `parameter`."""

    code: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None


class EventReference(Struct):
    """An event in the log."""

    id: EventId
    position: int


class Problem(Struct):
    """An error (RFC 9457); `code` is stable, `type` is a page that explains it."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None
    instance: str
    request_id: str
    errors: list[ProblemError]
    event: EventReference | msgspec.UnsetType = msgspec.UNSET


def schema(kind: Any) -> dict[str, Any]:
    """A type as the document has it: a reference, for a shape of its own."""
    [described], _ = msgspec.json.schema_components([kind], ref_template=REF)
    return described


def schemas(kinds: Iterable[Any], examples: Examples = BY_SHAPE) -> dict[str, Any]:
    """The shapes of these types and of all that they are made of, by name."""
    in_order = sorted(set(kinds), key=str)
    _, described = msgspec.json.schema_components(in_order, ref_template=REF)
    return {
        name: _completed(name, described[name], examples) for name in sorted(described)
    }


def one_of(kinds: tuple[type[Struct], ...]) -> dict[str, Any]:
    """A reference to the one shape, or to each of several, under a title of their own."""
    if len(kinds) == 1:
        return schema(kinds[0])
    title = "Or".join(kind.__name__ for kind in kinds)
    return {"title": title, "oneOf": [schema(kind) for kind in kinds]}


def about(kind: type[Struct]) -> str:
    """What a type says of itself."""
    return " ".join((kind.__doc__ or "").split())


def ids(kinds: Iterable[Any]) -> Ids:
    """What the ids look like that are members of these types, by name.

    A path's parameter of the same name looks alike: contexts say it once, by a type.
    """
    found = {}
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Struct):
            for field in msgspec.structs.fields(kind):
                described = schema(field.type)
                if field.name.endswith("_id") and "pattern" in described:
                    found[field.name] = described
    return found


def with_pattern(name: str, described: dict[str, Any]) -> dict[str, Any]:
    """What is called `name`, with the pattern that such ids have."""
    if name in _PATTERNS:
        for text in _texts(described):
            text.setdefault("pattern", _PATTERNS[name])
    return described


def _completed(
    name: str, described: dict[str, Any], examples: Examples
) -> dict[str, Any]:
    if "description" in described:
        described["description"] = " ".join(described["description"].split())
    for member, value in described.get("properties", {}).items():
        with_pattern(member, value)
        _give_titles(f"{name}{_words(member)}", value)
    for one in _within(described):
        if one.get("type") == "array" and "prefixItems" not in one:
            one.setdefault("items", {})  # items of any kind, said so for generators
        if isinstance(one.get("default"), dict | list):
            _tell_default(one)
    if name in examples:
        described["examples"] = [examples[name]]
    return described


def _tell_default(described: dict[str, Any]) -> None:
    """In words: generators can take a default of many values for none of a union."""
    default = msgspec.json.encode(described.pop("default")).decode()
    words = [described.get("description"), f"by default `{default}`"]
    described["description"] = "; ".join(word for word in words if word)


def _within(described: Any) -> Iterator[dict[str, Any]]:
    """A schema, and all that it is made of."""
    if isinstance(described, dict):
        yield described
        alternatives = [one for word in _UNIONS for one in described.get(word, ())]
        below = [described.get("items"), described.get("additionalProperties")]
        members = described.get("properties", {}).values()
        for child in (*alternatives, *below, *members):
            yield from _within(child)


def _texts(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in (described, *described.get("anyOf", ()), described.get("items", {})):
        if one.get("type") == "string":
            yield one


def _give_titles(name: str, described: dict[str, Any]) -> None:
    """Names for the alternatives of a union: generators make types of them."""
    alternatives = described.get("anyOf", [])
    for one in [
        one for one in alternatives if "anyOf" in one
    ]:  # a union that may be null
        alternatives.remove(one)
        alternatives[:0] = one.pop("anyOf")
        described.update(one)
    found = [one for one in alternatives if one != {"type": "null"}]
    if len(found) < 2:
        return
    described.setdefault("title", name)
    for one in found:
        if "$ref" not in one:
            one.setdefault("title", f"{name}As{_words(one.get('type', 'word'))}")


def _words(name: str) -> str:
    return re.sub(r"(?:^|_)([a-z])", lambda found: found[1].upper(), name)
