"""The schedules, and what Retry-After may change in them."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks import retry
from domain.webhooks.retry import Schedule

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CONTRACT = {
    "fast": [2, 4, 8],
    "durable": [60, 300, 900, 3600, 21600, 86400],
    "standard": [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
}
JITTERS = st.floats(-1, 1)
FAST, DURABLE = retry.policy("fast"), retry.policy("durable")
AGE_AND_JITTER = ["/jitter", "/max_age_seconds"]
OWN = Schedule(delays=[1, 60, 86_400], jitter=0.5, max_age_seconds=100)


@pytest.mark.parametrize("preset", CONTRACT)
def test_a_preset_waits_as_the_contract_says_then_gives_up(preset: str) -> None:
    policy = retry.policy(preset)
    numbers = range(1, policy.attempts + 1)

    delays = [policy.next_delay(number, jitter=0) for number in numbers]

    assert delays == [*CONTRACT[preset], None]


def test_the_presets_are_those_of_the_contract() -> None:
    assert retry.PRESETS.keys() == CONTRACT.keys()
    assert retry.DEFAULT == "durable"


@pytest.mark.parametrize(("jitter", "delay"), [(-1, 48), (0, 60), (1, 72)])
def test_jitter_moves_a_delay_by_a_fifth_at_most(jitter: float, delay: float) -> None:
    assert DURABLE.next_delay(1, jitter=jitter) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [(None, 60), (0, 60), (59, 60), (61, 61), (86_400, 86_400), (1e9, 86_400)],
)
def test_retry_after_replaces_a_shorter_delay_only(
    retry_after: float | None, delay: float
) -> None:
    assert DURABLE.next_delay(1, jitter=0, retry_after=retry_after) == delay


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(CONTRACT)), st.integers(1, 9), JITTERS, st.floats(0, 1e9))
def test_retry_after_never_hastens(
    preset: str, attempt: int, jitter: float, retry_after: float
) -> None:
    policy = retry.policy(preset)
    plain = policy.next_delay(attempt, jitter=jitter)
    asked = policy.next_delay(attempt, jitter=jitter, retry_after=retry_after)

    if plain is None or asked is None:
        assert plain is asked
    else:
        assert plain <= asked <= max(plain, 86_400)


def test_retry_after_does_not_raise_the_dead() -> None:
    assert FAST.next_delay(4, jitter=0, retry_after=5) is None


def test_attempts_are_numbered_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        FAST.next_delay(0, jitter=0)


def test_delays_of_ones_own() -> None:
    policy = retry.policy(OWN)

    assert policy == retry.policy({"delays": [1, 60, 86_400]} | REST)
    assert policy.attempts == 4
    assert policy.next_delay(2, jitter=1) == 90
    assert policy.next_delay(2, jitter=-1) == 30
    assert retry.check(OWN) == []


REST = {"jitter": 0.5, "max_age_seconds": 100}


@pytest.mark.parametrize(
    ("age", "retry_after", "delay"),
    [(40, None, 60), (40.5, None, None), (0, 100, 100), (0, 101, None)],
)
def test_no_attempt_begins_after_the_longest_age(
    age: float, retry_after: float | None, delay: float | None
) -> None:
    policy = retry.policy(OWN)

    found = policy.next_delay(2, jitter=0, age=age, retry_after=retry_after)

    assert found == delay


def test_the_age_itself_is_not_too_old() -> None:
    assert not retry.policy(OWN).expires(100)
    assert retry.policy(OWN).expires(100.1)
    assert not FAST.expires(1e12)


@pytest.mark.parametrize(
    ("own", "places"),
    [
        ("slow", [""]),
        (Schedule(delays=[]), []),
        (Schedule(delays=[1] * 21), ["/delays"]),
        (Schedule(delays=[0, 1, 86_401]), ["/delays/0", "/delays/2"]),
        (Schedule(delays=[1], jitter=1.1), ["/jitter"]),
        (Schedule(delays=[1], jitter=-0.1, max_age_seconds=0), AGE_AND_JITTER),
        (Schedule(delays=[1], max_age_seconds=30 * 86_400 + 1), ["/max_age_seconds"]),
    ],
)
def test_what_cannot_be_a_schedule(own: retry.Value, places: list[str]) -> None:
    found = [fault.pointer for fault in retry.check(own)]

    assert found == [f"#/retry{place}" for place in places]


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
