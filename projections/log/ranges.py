"""Patterns as ranges of text, so that an index can answer them.

A pattern becomes one or two half-open ranges in the order of bytes, which the operators
`~>=~` and `~<~` compare by; LIKE is not leakproof, so row-level security would keep it away
from the index. No type and no stream contains a character below `+` or above `~`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from domain import grammar

_BELOW, _ABOVE = "!", "\x7f"  # sort before and after every character of a name
_DOT_AND_ONE = "/"  # the character after the dot


class Ranges(NamedTuple):
    """Half-open ranges, in order and without overlap: `lows[n]` <= text < `highs[n]`."""

    lows: list[str]
    highs: list[str]


def of_types(patterns: Iterable[str]) -> Ranges:
    """The types that any of the patterns names; `*` leaves out Daybook's own."""
    return _merged([span for pattern in patterns for span in _type_spans(pattern)])


def of_streams(patterns: Iterable[str]) -> Ranges:
    """The streams that any of the patterns names."""
    return _merged([_stream_span(pattern) for pattern in patterns])


def beyond(name: str) -> Ranges:
    """All names after this one, in the order of bytes."""
    return Ranges([name + _BELOW if name else ""], [_ABOVE])


def up_to(name: str) -> Ranges:
    """All names before this one."""
    return Ranges([""], [name])


def _type_spans(pattern: str) -> Sequence[tuple[str, str]]:
    if pattern == "*":
        ours = grammar.RESERVED
        return (("", f"{ours}."), (f"{ours}{_DOT_AND_ONE}", _ABOVE))
    if pattern.endswith(".*"):
        prefix = pattern[:-2]
        return ((f"{prefix}.", f"{prefix}{_DOT_AND_ONE}"),)
    return ((pattern, pattern + _BELOW),)


def _stream_span(pattern: str) -> tuple[str, str]:
    if pattern.endswith("*"):
        return (pattern[:-1], pattern[:-1] + _ABOVE)
    return (pattern, pattern + _BELOW)


def _merged(spans: list[tuple[str, str]]) -> Ranges:
    ranges = Ranges([], [])
    for low, high in sorted(spans):
        if ranges.highs and low <= ranges.highs[-1]:
            ranges.highs[-1] = max(ranges.highs[-1], high)
        else:
            ranges.lows.append(low)
            ranges.highs.append(high)
    return ranges
