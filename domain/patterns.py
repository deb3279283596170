"""Which events a list of patterns names: by their type, and by their stream.

A pattern of types is a type, or `prefix.*` for everything under it, or `*`; one of
streams is a stream, or the beginning of one with `*` behind it.
"""

import re
from collections.abc import Iterable, Sequence

from domain import grammar
from domain.errors import Fault

EVERYTHING = "*"
MOST = 100  # patterns in a list

# What a stream can begin with: whole segments, then a part of the next, or nothing.
STREAM_PREFIX = grammar.STREAM._replace(
    longest=grammar.STREAM.longest - 1,
    shape=re.compile(r"(?:(?!\.{1,2}/)[A-Za-z0-9._~:@+=-]+/)*[A-Za-z0-9._~:@+=-]*"),
)


def check(patterns: Sequence[str], pointer: str = "#/event_types") -> list[Fault]:
    """The faults of a list of patterns of event types."""
    return _check(patterns, [_type_fault(pattern) for pattern in patterns], pointer)


def check_streams(patterns: Sequence[str], pointer: str = "#/streams") -> list[Fault]:
    """The faults of a list of patterns of streams."""
    return _check(patterns, [_stream_fault(pattern) for pattern in patterns], pointer)


def normalise(patterns: Iterable[str]) -> list[str]:
    """The patterns in their order, each once."""
    return list(dict.fromkeys(patterns))


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Whether any of `patterns` names the type."""
    return any(_matches(pattern, event_type) for pattern in patterns)


def stream_matches(patterns: Iterable[str], stream: str) -> bool:
    """Whether any of `patterns` names the stream; `*` names our own `$...` ones too."""
    return any(
        stream.startswith(pattern[:-1]) if pattern.endswith("*") else stream == pattern
        for pattern in patterns
    )


def _matches(pattern: str, event_type: str) -> bool:
    if pattern == EVERYTHING:
        # Ours must be asked for by name: who takes everything means their own.
        return not grammar.is_reserved(event_type)
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return event_type == pattern


def _check(
    patterns: Sequence[str], details: Sequence[str | None], pointer: str
) -> list[Fault]:
    if not 1 <= len(patterns) <= MOST:
        return [_fault(pointer, f"a list has 1 to {MOST} patterns")]
    return [
        _fault(f"{pointer}/{index}", detail)
        for index, detail in enumerate(details)
        if detail is not None
    ]


def _fault(pointer: str, detail: str) -> Fault:
    return Fault(pointer, "pattern_invalid", detail)


def _type_fault(pattern: str) -> str | None:
    prefix = pattern.removesuffix(".*")
    if pattern == EVERYTHING or _is_type(prefix, len(pattern)):
        return None
    if "*" in pattern[:-1]:
        return "a star stands last"
    if pattern.endswith("*") and not pattern.endswith(".*"):
        return "a star stands alone between dots: 'order.*', not 'order*'"
    return grammar.TYPE.detail


def _is_type(prefix: str, length: int) -> bool:
    return length <= grammar.TYPE.longest and grammar.TYPE.holds(prefix)


def _stream_fault(pattern: str) -> str | None:
    if "*" in pattern[:-1]:
        return "a star stands last"
    rule = STREAM_PREFIX if pattern.endswith("*") else grammar.STREAM
    return None if rule.holds(pattern.removesuffix("*")) else grammar.STREAM.detail
