"""The schedules, and what Retry-After may change in them."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks import retry

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CONTRACT = {
    "fast": [2, 4, 8],
    "durable": [60, 300, 900, 3600, 21600, 86400],
    "standard": [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
}
JITTERS = st.floats(-1, 1)


@pytest.mark.parametrize("preset", CONTRACT)
def test_a_preset_waits_as_the_contract_says_then_gives_up(preset: str) -> None:
    numbers = range(1, retry.attempts(preset) + 1)

    delays = [retry.next_delay(preset, number, jitter=0) for number in numbers]

    assert delays == [*CONTRACT[preset], None]


def test_the_presets_are_those_of_the_contract() -> None:
    assert retry.PRESETS.keys() == CONTRACT.keys()
    assert retry.DEFAULT == "durable"


@pytest.mark.parametrize(("jitter", "delay"), [(-1, 48), (0, 60), (1, 72)])
def test_jitter_moves_a_delay_by_a_fifth_at_most(jitter: float, delay: float) -> None:
    assert retry.next_delay("durable", 1, jitter=jitter) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [(None, 60), (0, 60), (59, 60), (61, 61), (86_400, 86_400), (1e9, 86_400)],
)
def test_retry_after_replaces_a_shorter_delay_only(
    retry_after: float | None, delay: float
) -> None:
    assert retry.next_delay("durable", 1, jitter=0, retry_after=retry_after) == delay


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(CONTRACT)), st.integers(1, 9), JITTERS, st.floats(0, 1e9))
def test_retry_after_never_hastens(
    preset: str, attempt: int, jitter: float, retry_after: float
) -> None:
    plain = retry.next_delay(preset, attempt, jitter=jitter)
    asked = retry.next_delay(preset, attempt, jitter=jitter, retry_after=retry_after)

    if plain is None or asked is None:
        assert plain is asked
    else:
        assert plain <= asked <= max(plain, 86_400)


def test_retry_after_does_not_raise_the_dead() -> None:
    assert retry.next_delay("fast", 4, jitter=0, retry_after=5) is None


def test_attempts_are_numbered_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        retry.next_delay("fast", 0, jitter=0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 5_000, 86_400),
        ("Fri, 20 Nov 2026 08:00:30 GMT", 30),
        ("Friday, 20-Nov-26 08:00:30 GMT", 30),
        ("Fri Nov 20 08:00:30 2026", 30),
        ("Fri, 20 Nov 2026 08:00:00 GMT", 0),
        ("Fri, 20 Nov 2099 08:00:00 GMT", 86_400),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str, seconds: float) -> None:
    assert retry.parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "-1",
        "1.5",
        "+5",
        "1e3",
        "soon",
        "\u0665",
        "5, 6",
        "Fri, 20 Nov 2026 07:59:59 GMT",
        "Fri, 20 Nov 99999999999999999999 08:00:00 GMT",
        "Fri, 20 Nov 2026 08:00:30 +9999",
        "Fri, 31 Feb 2026 08:00:30 GMT",
    ],
)
def test_what_cannot_be_used_is_ignored(value: str | None) -> None:
    assert retry.parse_retry_after(value, NOW) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 86_400))
def test_a_date_ahead_is_the_seconds_until_then(seconds: int) -> None:
    value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    assert retry.parse_retry_after(value, NOW) == seconds


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30) | st.text("FriNov 0123456789:,+-GMT", max_size=32))
def test_no_header_breaks_it(value: str) -> None:
    seconds = retry.parse_retry_after(value, NOW)

    assert seconds is None or 0 <= seconds <= 86_400
