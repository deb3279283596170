"""When a failed attempt is tried again: presets, own schedules, jitter and Retry-After."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from domain.errors import Fault

MINUTE, HOUR, DAY = 60, 3_600, 86_400

DEFAULT = "durable"

# The delays after the first, second ... failed attempt, in seconds. `standard` is the
# example schedule of the Standard Webhooks specification 1.0, without its immediate
# first attempt.
PRESETS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "fast": (2, 4, 8),
        "durable": (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, 24 * HOUR),
        "standard": (
            5,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ),
    }
)

JITTER = 0.2  # of the delay, either way: what failed together does not return together
LONGEST_RETRY_AFTER = DAY  # else a receiver could park its deliveries for ever
MOST_DELAYS = 20
LONGEST_DELAY = DAY
LONGEST_AGE = 30 * DAY

# RFC 9110, section 10.2.3: delay-seconds are digits alone. ASCII ones: \d knows more.
_SECONDS = re.compile(r"[0-9]+")


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant's own delays in seconds; `jitter` is a part of the delay, either way."""

    delays: list[int]
    jitter: float = JITTER
    max_age_seconds: int | None = None


Value: TypeAlias = str | Schedule  # a preset's name, or a schedule


class Policy(NamedTuple):
    """What a webhook's retries follow; durations in seconds.

    `max_age_seconds`: no attempt begins when the delivery is older than that; None: the
    delays alone decide.
    """

    delays: tuple[int, ...]
    jitter: float = JITTER
    max_age_seconds: int | None = None

    @property
    def attempts(self) -> int:
        """How many attempts a delivery has in all, at most."""
        return 1 + len(self.delays)

    def expires(self, age: float) -> bool:
        """Whether a delivery `age` seconds old is too old for another attempt."""
        return self.max_age_seconds is not None and age > self.max_age_seconds

    def next_delay(
        self,
        attempt: int,
        *,
        jitter: float,
        age: float = 0.0,
        retry_after: float | None = None,
    ) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) failed; None: give up.

        `jitter` is drawn by the caller from -1..1, `age` is the delivery's in seconds.
        `retry_after` only ever lengthens.
        """
        if attempt < 1:
            raise ValueError(f"attempts are numbered from 1, not {attempt}")
        if attempt >= self.attempts:
            return None
        delay = self.delays[attempt - 1] * (1 + self.jitter * jitter)
        delay = max(delay, min(retry_after or 0.0, LONGEST_RETRY_AFTER))
        return None if self.expires(age + delay) else delay


_POLICIES = {name: Policy(delays) for name, delays in PRESETS.items()}


def policy(value: Value | Mapping[str, Any]) -> Policy:
    """The policy that a setting names or spells, as a struct or as plain JSON."""
    if isinstance(value, str):
        return _POLICIES[value]
    own = msgspec.convert(value, Schedule)
    return Policy(tuple(own.delays), own.jitter, own.max_age_seconds)


def check(value: Value, pointer: str = "#/retry") -> list[Fault]:
    """What is wrong with a setting."""
    if isinstance(value, str):
        if value in PRESETS:
            return []
        detail = f"one of {', '.join(PRESETS)}, or delays of your own"
        return [Fault(pointer, "invalid", detail)]
    return _check_schedule(value, pointer)


def _check_schedule(own: Schedule, pointer: str) -> list[Fault]:
    faults = [
        Fault(f"{pointer}/delays/{index}", "invalid", "from 1 s to 24 h, in seconds")
        for index, delay in enumerate(own.delays[:MOST_DELAYS])
        if not 1 <= delay <= LONGEST_DELAY
    ]
    if len(own.delays) > MOST_DELAYS:  # none: one attempt and no other
        detail = f"a list of at most {MOST_DELAYS} delays"
        faults = [Fault(f"{pointer}/delays", "invalid", detail)]
    if not 0 <= own.jitter <= 1:
        faults.append(Fault(f"{pointer}/jitter", "invalid", "from 0 to 1"))
    if own.max_age_seconds is not None and not 1 <= own.max_age_seconds <= LONGEST_AGE:
        detail = f"from 1 to {LONGEST_AGE:,}"
        faults.append(Fault(f"{pointer}/max_age_seconds", "invalid", detail))
    return faults


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, 24 h at most; None: no usable one."""
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)  # not int(): it refuses more than 4,300 digits
    else:
        moment = _http_date(text)
        seconds = -1.0 if moment is None else (moment - now).total_seconds()
    return min(seconds, float(LONGEST_RETRY_AFTER)) if seconds >= 0 else None


def _http_date(text: str) -> datetime | None:
    """RFC 9110, section 5.6.7: three forms, all of them in GMT."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter from a year beyond a C long
        return None
    # The asctime form and the zone -0000 come back without an offset.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
