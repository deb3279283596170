"""Statistics of a webhook: what is asked for, and how they look."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.shapes import AtLeast, Time, TimeIn, WebhookId


class StatsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which of its deliveries: those created in an interval of whole buckets."""

    since: Annotated[
        TimeIn | None,
        Meta(
            description="a day ago, by day a month ago; the bucket that it falls into"
        ),
    ] = None
    until: Annotated[TimeIn | None, Meta(description="now if left out")] = None
    bucket: Literal["hour", "day"] = "hour"
    at_least: AtLeast = None


class Counts(Struct):
    """How many deliveries are in each state."""

    pending: int
    sending: int
    succeeded: int
    retrying: int
    dead: int
    cancelled: int


class AttemptMs(Struct):
    """How long attempts took, in milliseconds; parts are right to a twentieth."""

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class Lag(Struct):
    """How many deliveries are not finished now, and how old the oldest of them is."""

    deliveries: int
    seconds: float


class StatsBucket(Struct):
    """An hour or a day (UTC) of deliveries, those that are finished by now."""

    start: Time
    succeeded: int
    dead: int
    p95_ms: float | None


class Stats(Struct, kw_only=True):
    """What became of the deliveries that were created from `since` to before `until`. `lag`
    and `oldest_undelivered_at` are of all that is owed now."""

    webhook_id: WebhookId
    since: Time
    until: Time
    bucket: Literal["hour", "day"]
    counts: Counts
    success_rate: float | None
    attempt_ms: AttemptMs
    lag: Lag
    oldest_undelivered_at: Time | None
    buckets: list[StatsBucket]
