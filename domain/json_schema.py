"""What a JSON Schema (2020-12) may be that a tenant declares for its events.

It stands by itself: references are JSON pointers that lead into it, and nothing is fetched.
Whether a keyword's value is of the right form is for the metaschema to say.
"""

from collections.abc import Iterator
from typing import Any

from domain import effort
from domain.effort import Effort, Place, children
from domain.errors import Fault, Invalid
from domain.json_pointer import escape

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_PATTERNS = 200  # each takes up to 1 ms to compile

_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLES = ("not", "if", "then", "else")
_MEMBERS = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_ITEMS = ("items", "contains", "unevaluatedItems")
_ASIDE = ("$defs", "definitions")
# They make what a reference means depend on where it is met.
_REFUSED = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$vocabulary")
_INTEGERS = range(-(2**63), 2**64)


def judge(schema: dict[str, Any], at: str = "#/schema") -> Effort:
    """What checking by it can cost. Raises Invalid; `at` is where the schema stands."""
    reader = _Reader(schema, at)
    if reader.faults:
        raise Invalid(reader.faults)
    try:
        counted = effort.counted(reader.places)
    except effort.TooIntricate as error:
        raise Invalid([Fault(at + error.pointer, "invalid", error.detail)]) from None
    if counted.looks[0] > effort.MOST:
        raise Invalid([Fault(at, "invalid", "even {} would take too long to check")])
    return counted


class _Reader:
    """Goes through a schema once: its places by their pointers, and its faults."""

    def __init__(self, schema: dict[str, Any], at: str) -> None:
        self._schema, self._at = schema, at
        self.places: dict[str, Place] = {}
        self.faults: list[Fault] = list(_numbers(schema, at))
        self._patterns = 0
        self._wanted: list[tuple[str, str]] = []  # a reference, and who has it
        self._read(schema, "")
        while self._wanted:
            self._follow(*self._wanted.pop())
        if self._patterns > MOST_PATTERNS:
            self._refuse("", f"a schema has at most {MOST_PATTERNS} patterns")

    def _refuse(self, pointer: str, detail: str) -> None:
        self.faults.append(Fault(self._at + pointer, "invalid", detail))

    def _read(self, schema: Any, pointer: str) -> str:
        """Take a subschema in, and all within it; its pointer."""
        if pointer in self.places:
            return pointer
        place = self.places[pointer] = Place()
        if isinstance(schema, dict):
            self._check(schema, pointer)
            self._weigh(schema, place)
            self._read_here(schema, place, pointer)
            self._read_below(schema, place, pointer)
        return pointer

    def _check(self, schema: dict[str, Any], pointer: str) -> None:
        for name in _REFUSED:
            if name in schema:
                detail = "refer by `$ref` and a JSON pointer instead"
                self._refuse(f"{pointer}/{name}", detail)
        if pointer and "$id" in schema:
            self._refuse(f"{pointer}/$id", "only the whole schema may have one")
        if schema.get("$schema", DIALECT) not in (DIALECT, f"{DIALECT}#"):
            self._refuse(f"{pointer}/$schema", f"it is {DIALECT}")

    def _weigh(self, schema: dict[str, Any], place: Place) -> None:
        """What it costs by itself; the figures are times that the checker took."""
        for name in ("const", "required", "dependentRequired"):
            place.looks += _size(schema.get(name, ()))
        if any(_size(one) > 1 for one in children(schema.get("enum"))):
            place.looks += _size(schema["enum"])  # plain ones are not gone through
        for name in ("properties", "patternProperties", "dependentSchemas"):
            place.looks += len(_members(schema, name))
        place.looks += 10 if "multipleOf" in schema else 0  # reckoned in decimal digits
        place.patterns = 1 if "pattern" in schema else 0
        self._patterns += place.patterns + len(_members(schema, "patternProperties"))

    def _read_here(self, schema: dict[str, Any], place: Place, at: str) -> None:
        """What is applied to the same place of the data."""
        found = [
            *self._of_list(schema, at, *_LISTS),
            *self._of_singles(schema, at, *_SINGLES),
            *self._of_members(schema, at, "dependentSchemas").values(),
        ]
        reference = schema.get("$ref")
        if isinstance(reference, str):
            self._wanted.append((reference, at))
            found.append(reference.removeprefix("#"))
        # To learn what is left over, all that is here is looked at again, and again.
        is_repeated = "unevaluatedProperties" in schema or "unevaluatedItems" in schema
        place.here = [(3 if is_repeated else 1, pointer) for pointer in found]

    def _read_below(self, schema: dict[str, Any], place: Place, at: str) -> None:
        """What is applied to members and items; what is set aside, when referred to."""
        place.members = self._of_members(schema, at, "properties")
        by_pattern = list(self._of_members(schema, at, "patternProperties").values())
        for pointer in by_pattern:  # its pattern is held against every member's name
            self.places[pointer].patterns += 1
        place.others = [*by_pattern, *self._of_singles(schema, at, *_MEMBERS)]
        place.items = [
            *self._of_list(schema, at, "prefixItems"),
            *self._of_singles(schema, at, *_ITEMS),
        ]
        for name in _ASIDE:
            self._of_members(schema, at, name)

    def _of_list(self, schema: dict[str, Any], at: str, *names: str) -> list[str]:
        return [
            self._read(one, f"{at}/{name}/{number}")
            for name in names
            if isinstance(schema.get(name), list)
            for number, one in enumerate(schema[name])
        ]

    def _of_singles(self, schema: dict[str, Any], at: str, *names: str) -> list[str]:
        return [
            self._read(schema[name], f"{at}/{name}") for name in names if name in schema
        ]

    def _of_members(self, schema: dict[str, Any], at: str, name: str) -> dict[str, str]:
        return {
            key: self._read(one, f"{at}/{name}/{escape(key)}")
            for key, one in _members(schema, name).items()
        }

    def _follow(self, reference: str, owner: str) -> None:
        """Take in what a reference leads to, wherever in the schema that is."""
        if reference.removeprefix("#") in self.places and reference.startswith("#"):
            return
        try:
            found = _resolved(self._schema, reference)
        except LookupError:
            detail = "a reference is `#/...` and leads to a place of this schema"
            self._refuse(f"{owner}/$ref", detail)
        else:
            self._read(found, reference.removeprefix("#"))


def _resolved(schema: Any, reference: str) -> Any:
    """What `#/...` names. Raises LookupError."""
    head, *steps = reference.split("/")
    if head != "#":
        raise LookupError(reference)
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and name.isdecimal():
            schema = schema[int(name)]
        elif isinstance(schema, dict) and "%" not in name:
            schema = schema[name]
        else:
            raise LookupError(reference)
        if isinstance(schema, dict) and "$id" in schema:
            raise LookupError(reference)  # from there on it would mean another place
    return schema


def _numbers(value: Any, at: str) -> Iterator[Fault]:
    """The numbers that would not be kept as they are."""
    if isinstance(value, float) and abs(value) == float("inf"):
        yield Fault(at, "invalid", "the number is too large")
    elif isinstance(value, int) and value not in _INTEGERS:
        yield Fault(at, "invalid", "the integer is too large")
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _numbers(child, f"{at}/{escape(name)}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _numbers(child, f"{at}/{number}")


def _members(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found = schema.get(name)
    return found if isinstance(found, dict) else {}


def _size(value: Any) -> int:
    """How many values it is made of."""
    return 1 + sum(_size(child) for child in children(value))
