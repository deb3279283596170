"""An event's members as payload filters see them, and the paths that lead to them.

Numbers are what they spell, to the last digit: 0.1 is 0.1, 1e400 is not 1e401.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from domain import json_pointer
from domain.log import entry

ROOTS = frozenset({"data", "metadata", "type", "stream", "subject", "source", "actor"})
# How many values of one event a filter looks at. A quarter of a megabyte holds 130,000;
# 50 tests on each of them would keep everybody's events waiting for seconds.
MOST_VALUES = 20_000

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_NO_METADATA = b"{}"


class MalformedPath(ValueError):
    """The text leads nowhere in any event; the message says why."""


class TooManyValues(Exception):
    """The filter would have to look at more than MOST_VALUES of this event's values."""


class Step(NamedTuple):
    """One step down: a member's name; in an array, the element of that number."""

    name: str
    element: int | None


class Path(NamedTuple):
    """Where to look: a member of the event, then down."""

    root: str
    steps: tuple[Step, ...]


class Members:
    """One event; `data` and `metadata` are read when a filter first looks into them."""

    def __init__(
        self,
        *,
        type: str,
        stream: str | None,
        subject: str | None,
        source: str | None,
        actor: str | None,
        data: bytes,
        metadata: bytes | None,
    ) -> None:
        """`data` and `metadata` are JSON as stored, `actor` is as the log has it."""
        self._roots: dict[str, Any] = {
            "type": type,
            "stream": stream,
            "subject": subject,
            "source": source or entry.DEFAULT_SOURCE,
        }
        self._actor = actor
        self._raw = {"data": data, "metadata": metadata or _NO_METADATA}

    def root(self, name: str) -> Any:
        """The member of the event with this name, one of ROOTS."""
        if name not in self._roots:
            self._roots[name] = (
                entry.describe_actor(self._actor)
                if name == "actor"
                else _DECODER.decode(self._raw[name])
            )
        return self._roots[name]


class Meter:
    """Counts the values that a filter looks at in one event."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def count(self, values: int) -> None:
        """So many more. Raises TooManyValues."""
        self._left -= values
        if self._left < 0:
            raise TooManyValues


def parse(text: str) -> Path:
    """`data.key`, or as a JSON pointer `/data/key`. Raises MalformedPath."""
    if text.startswith("/"):
        try:
            root, *rest = json_pointer.tokens(text)
        except json_pointer.MalformedPointer as error:
            raise MalformedPath(str(error)) from None
    else:
        root, *rest = text.split(".")
        if "" in rest:
            raise MalformedPath("between two dots stands a name")
    if root not in ROOTS:
        raise MalformedPath(f"a path begins with one of {', '.join(sorted(ROOTS))}")
    return Path(root, tuple(Step(name, _index(name)) for name in rest))


def reach(members: Members, path: Path, meter: Meter) -> Sequence[Any]:
    """What the path leads to; none when it is missing, several through arrays."""
    value = members.root(path.root)
    for depth, step in enumerate(path.steps):
        if type(value) is dict:
            if step.name not in value:
                return ()
            value = value[step.name]
        elif type(value) is list:
            return list(_fan_out(value, path.steps[depth:], meter))
        else:
            return ()
    return (value,)


def leaves(found: Sequence[Any], meter: Meter) -> Sequence[Any]:
    """The values found, with the elements of arrays in the place of the arrays."""
    if not any(type(value) is list for value in found):
        return found
    return list(_flat(found, meter))


def _fan_out(value: Any, steps: Sequence[Step], meter: Meter) -> Iterator[Any]:
    """Every place that the steps lead to from an array's elements, or one of them."""
    if not steps:
        yield value
    elif type(value) is dict:
        if steps[0].name in value:
            yield from _fan_out(value[steps[0].name], steps[1:], meter)
    elif type(value) is list:
        index = steps[0].element
        meter.count(len(value) if index is None else 1)
        if index is None:
            for element in value:
                yield from _fan_out(element, steps, meter)
        elif index < len(value):
            yield from _fan_out(value[index], steps[1:], meter)


def _flat(values: Sequence[Any], meter: Meter) -> Iterator[Any]:
    for value in values:
        if type(value) is list:
            meter.count(len(value))
            yield from _flat(value, meter)
        else:
            yield value


def _index(name: str) -> int | None:
    return int(name) if _INDEX.fullmatch(name) else None


def _number(text: str) -> Decimal:
    """A number with a fraction or an exponent, exactly; one out of all reach as its end."""
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of more than 18 digits
        mantissa, _, exponent = text.lower().partition("e")
        if exponent.startswith("-") or not Decimal(mantissa):
            return Decimal(0)
        return Decimal("-Infinity" if text.startswith("-") else "Infinity")


_DECODER = msgspec.json.Decoder(float_hook=_number)
