"""The operators of payload filters: each asks one thing of the values a path leads to.

Numbers are compared by what they spell, strings by code point, and nothing with anything of
another type: such a comparison does not hold, and no order is known among true, false and
null.
"""

import math
import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from domain.payload_path import Meter

# Wordings of an op that holds and of one that does not.
_WORDS = {
    "$eq": ("is", "is not"),
    "$gt": ("is more than", "is not more than"),
    "$gte": ("is at least", "is not at least"),
    "$lt": ("is less than", "is not less than"),
    "$lte": ("is at most", "is not at most"),
    "$in": ("is one of", "is not one of"),
    "$prefix": ("begins with", "does not begin with"),
}
_NEGATED = {"$ne": "$eq", "$nin": "$in"}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
NAMES = ("$eq", "$ne", *_ORDERS, "$in", "$nin", "$prefix", "$exists")

# Values of one kind compare with each other and with no others.
_KINDS: dict[type, str] = {
    str: "string",
    int: "number",
    Decimal: "number",
    bool: "boolean",
    type(None): "null",
}
_ORDERED = frozenset({"string", "number"})
_SHOWN = 80  # characters of a value that go into a sentence

_ENCODER = msgspec.json.Encoder(decimal_format="number")

Holds = Callable[[Any], bool]


class MalformedOperand(ValueError):
    """The operator does not take such a value; the message says what it takes."""


class Op(NamedTuple):
    """One operator with its operand; `holds_on` judges one value that is no array."""

    name: str
    operand: Any
    holds_on: Holds
    is_negated: bool

    def holds(self, found: Sequence[Any], values: Sequence[Any], meter: Meter) -> bool:
        """Of what the path leads to, and of it with elements in the place of arrays."""
        if self.name == "$exists":
            return bool(found) is self.operand
        if len(values) > 1:
            meter.count(len(values))
        return any(map(self.holds_on, values)) is not self.is_negated

    def why(self, found: Sequence[Any]) -> str:
        """Why it does not hold, of what the path leads to."""
        if self.name == "$exists":
            return "it is missing" if self.operand else "it is there"
        if not found:
            return "it is missing"
        is_array = len(found) > 1 or isinstance(found[0], list)
        value = show(found if len(found) > 1 else found[0])
        holds, fails = _WORDS[_NEGATED.get(self.name, self.name)]
        if self.is_negated:
            subject = f"an element of {value}" if is_array else value
            return f"{subject} {holds} {show(self.operand)}"
        if is_array:
            return f"no element of {value} {holds} {show(self.operand)}"
        return f"{value} {fails} {show(self.operand)}"


def read_op(name: str, operand: Any) -> Op:
    """The operator, one of NAMES, with its operand. Raises MalformedOperand."""
    positive = _NEGATED.get(name, name)
    if positive == "$in":
        holds_on = _member_of(operand)
    elif positive == "$prefix":
        holds_on = _beginning(operand)
    elif positive == "$exists":
        if not isinstance(operand, bool):
            raise MalformedOperand("true or false")
        holds_on = bool
    elif positive == "$eq":
        holds_on = _member_of([operand])
    else:
        holds_on = _compared(_ORDERS[positive], operand)
    return Op(name, operand, holds_on, name in _NEGATED)


def show(value: Any) -> str:
    """A value as JSON, cut when it is long."""
    text = _ENCODER.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _member_of(operands: Any) -> Holds:
    if not isinstance(operands, list) or not operands:
        raise MalformedOperand("a list of at least one scalar")
    wanted: dict[str, set[Any]] = {}
    for operand in operands:
        scalar = _scalar(operand)
        wanted.setdefault(_KINDS[type(scalar)], set()).add(scalar)

    def holds(value: Any) -> bool:
        # By kind first: to Python true is 1.
        kind = _KINDS.get(type(value))
        return kind in wanted and value in wanted[kind]

    return holds


def _beginning(operand: Any) -> Holds:
    if not isinstance(operand, str):
        raise MalformedOperand("a string")
    return lambda value: type(value) is str and value.startswith(operand)


def _compared(order: Callable[[Any, Any], bool], operand: Any) -> Holds:
    scalar = _scalar(operand)
    kind = _KINDS[type(scalar)]
    if kind not in _ORDERED:
        return lambda value: False
    return lambda value: _KINDS.get(type(value)) == kind and order(value, scalar)


def _scalar(operand: Any) -> Any:
    """A scalar as event's values are read: a fraction is what its shortest form spells."""
    if type(operand) is float:
        if not math.isfinite(operand):
            raise MalformedOperand("a number that a double can hold")
        return Decimal(repr(operand))
    if type(operand) not in _KINDS:
        raise MalformedOperand("a string, a number, true, false or null")
    return operand
