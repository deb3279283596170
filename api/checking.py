"""Whether data keeps the JSON Schema of its event type.

The library is fast and fetches nothing when told so, but knows no bounds: what a check can
take is counted out first (`domain.effort`), patterns take time linear in the text or do not
compile, and faults are listed only where that is cheap. Messages show no value: they are
answered, and answers to a repeated request are kept.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from api.errors import MOST_FAULTS
from domain import effort, json_schema
from domain.errors import Fault, Invalid
from domain.json_pointer import escape

CODE = "schema_violation"
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=2**16, dfa_size_limit=2**16)
_PATTERN_BYTES = 2 * 2**16  # what a compiled one takes, at most
# A listed fault costs a hundred looks: in all these take 0.3 s at worst.
_ALL_LISTED, _FIRST_LISTED = 2**15, 2**18
_LONGEST = 256  # characters of a message: a name in it may be as long as an event
# Numbers as they are spelled: 1e400 is one, and 19.99 is a multiple of 0.01.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Checker:
    """One compiled schema."""

    def __init__(self, schema: dict[str, Any], at: str = "#/schema") -> None:
        """Raises Invalid with the places in the schema, which stands at `at`."""
        self._effort = json_schema.judge(schema, at)
        self._validator = _compiled(schema, at)
        text = msgspec.json.encode(schema)
        self.size = 16 * len(text) + text.lower().count(b"pattern") * _PATTERN_BYTES

    def keeps(self, raw: bytes) -> bool:
        """Whether data keeps the schema; False too when that would take too long."""
        data = _DECODER.decode(raw)
        return self._looks(raw, data) <= effort.MOST and self._validator.is_valid(data)

    def faults(self, raw: bytes, at: str) -> list[Fault]:
        """What breaks the schema in data, which stands at `at`: the first hundred."""
        data = _DECODER.decode(raw)
        looks = self._looks(raw, data)
        if looks > effort.MOST:
            return [Fault(at, CODE, "it would take too long to check: send less")]
        if self._validator.is_valid(data):
            return []
        if looks <= _ALL_LISTED:
            errors = self._validator.iter_errors(data)
            return list(islice(_all(errors, at), MOST_FAULTS))
        if looks <= _FIRST_LISTED:
            return [next(_all(self._first(data), at))]
        return [Fault(at, CODE, "it breaks the schema; it is too large to say where")]

    def _looks(self, raw: bytes, data: Any) -> int:
        return self._effort.of(raw, data)

    def _first(self, data: Any) -> list[ValidationError]:
        try:
            self._validator.validate(data)
        except ValidationError as error:
            return [error]
        return []


def _compiled(schema: dict[str, Any], at: str) -> Draft202012Validator:
    try:
        return Draft202012Validator(
            schema,
            pattern_options=_PATTERNS,
            validate_formats=False,  # annotations, as 2020-12 has them
            mask="the value",
            offline=True,
        )
    except ValidationError as error:
        place = at + _pointer(error.instance_path)
        raise Invalid([Fault(place, "invalid", _about_schema(error))]) from None


def _about_schema(error: ValidationError) -> str:
    if '"regex"' in error.message:
        return (
            "it is no pattern that can be checked quickly: no look-around, no "
            "back-reference, no long counted repetition (`maxLength` is for lengths)"
        )
    return _short(error.message)


def _all(errors: Iterable[ValidationError], at: str) -> Iterator[Fault]:
    for error in errors:
        place = at + _pointer(error.instance_path)
        match error.kind:
            case ValidationErrorKind.Required(name):
                yield Fault(f"{place}/{escape(name)}", CODE, "it is required")
            case ValidationErrorKind.AdditionalProperties(names):
                for name in names:
                    yield Fault(f"{place}/{escape(name)}", CODE, "it is not known here")
            case _:
                yield Fault(place, CODE, _short(error.message))


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{escape(str(step))}" for step in path)


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
