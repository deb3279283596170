"""Patterns of types and streams: what they may look like and what they name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import grammar, patterns

WORDS = st.sampled_from(["a", "b", "ab", "daybook", "daybooks", "-"])
TYPES = st.lists(WORDS, min_size=1, max_size=4).map(".".join)
PATTERNS = TYPES | TYPES.map(lambda prefix: f"{prefix}.*") | st.just("*")


def expansions(event_type: str) -> list[str]:
    """Every pattern that names the type, found as handoff.sql finds them."""
    words = event_type.split(".")
    prefixes = [".".join(words[:count]) + ".*" for count in range(1, len(words))]
    everything = [] if grammar.is_reserved(event_type) else ["*"]
    return [event_type, *prefixes, *everything]


@settings(max_examples=400, deadline=None)
@given(st.lists(PATTERNS, max_size=4), TYPES)
def test_expansions_are_exactly_the_patterns_that_match(
    chosen: list[str], event_type: str
) -> None:
    expanded = expansions(event_type)

    assert patterns.matches(chosen, event_type) == any(
        pattern in expanded for pattern in chosen
    )


@settings(max_examples=100, deadline=None)
@given(TYPES)
def test_every_expansion_is_a_good_pattern_and_listed_once(event_type: str) -> None:
    expanded = expansions(event_type)

    assert patterns.check(expanded) == []
    assert patterns.normalise(expanded) == expanded


@pytest.mark.parametrize(
    ("pattern", "event_type", "named"),
    [
        ("heures.validated", "heures.validated", True),
        ("heures.validated", "heures.validated.late", False),
        ("heures.*", "heures.validated", True),
        ("heures.*", "heures.validated.late", True),
        ("heures.*", "heures", False),
        ("heures.*", "heuresx.validated", False),
        ("*", "heures", True),
        ("*", "daybooks.x", True),
        ("*", "daybook.webhook.created", False),
        ("*", "daybook", False),
        ("daybook.*", "daybook.webhook.created", True),
        ("daybook.webhook.*", "daybook.webhook.created", True),
        ("daybook.delivery.dead", "daybook.delivery.dead", True),
    ],
)
def test_a_pattern_names_what_it_says(
    pattern: str, event_type: str, named: bool
) -> None:
    assert patterns.matches([pattern], event_type) is named


def test_a_list_names_what_any_of_its_patterns_names() -> None:
    chosen = ["a.b", "daybook.*"]

    assert patterns.matches(chosen, "daybook.x")
    assert not patterns.matches(chosen, "c")
    assert not patterns.matches([], "c")


@pytest.mark.parametrize(
    "pattern", ["*", "a", "a.*", "a.b.*", "daybook.*", "a" * 128, "a" * 126 + ".*"]
)
def test_a_good_pattern_has_no_fault(pattern: str) -> None:
    assert patterns.check([pattern, pattern]) == []


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("*.created", "a star stands last"),
        ("a.*.b", "a star stands last"),
        ("a.**", "a star stands last"),
        ("**", "a star stands last"),
        ("a.b*", "alone"),
        ("a*", "alone"),
        ("", "a type is"),
        (".*", "a type is"),
        ("a..*", "a type is"),
        ("a b", "a type is"),
        ("a.", "a type is"),
        ("a\n", "a type is"),
        ("a" * 127 + ".*", "a type is"),
        ("a" * 129, "a type is"),
    ],
)
def test_a_bad_pattern_is_pointed_at(pattern: str, says: str) -> None:
    [fault] = patterns.check(["ok", pattern])

    assert fault[:2] == ("#/event_types/1", "pattern_invalid")
    assert says in fault.detail


@pytest.mark.parametrize("count", [0, 101])
def test_a_list_has_1_to_100_patterns(count: int) -> None:
    [fault] = patterns.check(["a"] * count)
    [stream_fault] = patterns.check_streams(["a"] * count)

    assert fault[:2] == ("#/event_types", "pattern_invalid")
    assert stream_fault[:2] == ("#/streams", "pattern_invalid")


def test_every_bad_pattern_of_a_list_is_told() -> None:
    faults = patterns.check(["*a", "ok", "a*"], "#/to")

    assert [fault.pointer for fault in faults] == ["#/to/0", "#/to/2"]


def test_normalised_patterns_keep_their_order() -> None:
    assert patterns.normalise(["b", "a", "b", "*"]) == ["b", "a", "*"]


@pytest.mark.parametrize(
    "pattern",
    ["*", "a", "a/b", "a*", "a/*", "a/b*", "a/.*", "a/..*", "s" * 256, "s" * 255 + "*"],
)
def test_a_good_pattern_of_streams_has_no_fault(pattern: str) -> None:
    assert patterns.check_streams([pattern]) == []


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("*/a", "a star stands last"),
        ("a**", "a star stands last"),
        ("", "a stream is"),
        ("/*", "a stream is"),
        ("a//*", "a stream is"),
        ("../*", "a stream is"),
        ("a/./b*", "a stream is"),
        ("$webhooks/*", "a stream is"),
        ("a\n*", "a stream is"),
        ("s" * 257, "a stream is"),
        ("s" * 256 + "*", "a stream is"),
    ],
)
def test_a_bad_pattern_of_streams_is_pointed_at(pattern: str, says: str) -> None:
    [fault] = patterns.check_streams([pattern])

    assert fault[:2] == ("#/streams/0", "pattern_invalid")
    assert says in fault.detail


@pytest.mark.parametrize(
    ("pattern", "stream", "named"),
    [
        ("heures/77", "heures/77", True),
        ("heures/77", "heures/778", False),
        ("heures/*", "heures/77", True),
        ("heures/7*", "heures/77", True),
        ("heures/*", "heures", False),
        ("*", "heures", True),
        ("*", "$webhooks/1", True),
    ],
)
def test_a_pattern_of_streams_names_what_it_says(
    pattern: str, stream: str, named: bool
) -> None:
    assert patterns.stream_matches([pattern], stream) is named


@settings(max_examples=200, deadline=None)
@given(st.text("a./", min_size=1, max_size=6), st.integers(0, 6))
def test_every_beginning_of_a_stream_can_be_a_pattern(text: str, length: int) -> None:
    if grammar.check_stream(text):
        return
    pattern = text[:length] + "*"

    assert patterns.check_streams([pattern]) == []
    assert patterns.stream_matches([pattern], text)
