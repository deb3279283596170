"""When a failed attempt is tried again: the presets, the jitter and Retry-After."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

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

# RFC 9110, section 10.2.3: delay-seconds are digits alone. ASCII ones: \d knows more.
_SECONDS = re.compile(r"[0-9]+")


def attempts(preset: str) -> int:
    """How many attempts a delivery has in all."""
    return 1 + len(PRESETS[preset])


def next_delay(
    preset: str, attempt: int, *, jitter: float, retry_after: float | None = None
) -> float | None:
    """Seconds to wait after attempt number `attempt` (from 1) failed; None: give up.

    `jitter` is drawn by the caller from -1..1. `retry_after` only ever lengthens.
    """
    if attempt < 1:
        raise ValueError(f"attempts are numbered from 1, not {attempt}")
    if attempt >= attempts(preset):
        return None
    delay = PRESETS[preset][attempt - 1] * (1 + JITTER * jitter)
    return max(delay, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, 24 h at most; None: no usable one."""
    text = (value or "").strip()
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
