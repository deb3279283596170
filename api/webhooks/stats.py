"""Statistics of a webhook: counts by state, how long attempts take, how far it lags."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from api import answers, consistency, filters, shapes
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.webhooks import changes
from api.webhooks.deliveries import PROJECTION, READ
from api.webhooks.stat_schemas import (
    AttemptMs,
    Counts,
    Lag,
    Stats,
    StatsBucket,
    StatsQuery,
)
from domain import clock, ids
from domain.errors import Fault, Invalid
from projections.log import views as log_views
from projections.postgres import Connection
from projections.webhooks import stats
from projections.webhooks.stats import Bucket, Figures, Interval, Waiting

# How long a bucket is, and how many of them are looked back when nobody says.
LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
LOOK_BACK = {"hour": 24, "day": 30}
MOST_BUCKETS = 750
_LAST = datetime.max.replace(tzinfo=UTC) - LENGTH["day"]
UNDELIVERED = frozenset({"pending", "sending", "retrying"})
_NOTHING = Figures(None, 0, 0, 0, 0, 0.0, None, None, None)


class Asked(NamedTuple):
    """The buckets that are asked for: from `since`, through the one of `until`."""

    since: datetime
    until: datetime
    bucket: Bucket

    def starts(self) -> Iterator[datetime]:
        """When each begins."""
        start = self.since
        while start < self.until:
            yield start
            start += LENGTH[self.bucket]


@get(
    "/api/v1/webhooks/{webhook_id:str}/stats",
    **operation(
        "Read a webhook's statistics",
        scopes=READ,
        query=StatsQuery,
        answers={200: Stats},
    ),
)
async def get_stats(request: ApiRequest, webhook_id: FromPath[str]) -> Answer:
    """Of the deliveries that were created in an interval, one of a replay with it."""
    query = request.parameters(StatsQuery)
    now = clock.now()
    asked = _asked(query, now)
    webhook = await changes.found(request, shapes.parse("wh", webhook_id))
    tenant_id, one = request.caller.tenant_id, webhook.webhook_id
    await consistency.follow(request, PROJECTION, query.at_least)
    async with request.services.database.tenant(tenant_id) as connection:
        interval = await _interval(connection, tenant_id, asked)
        found = await stats.figures(connection, tenant_id, one, interval, asked.bucket)
        waiting = await stats.waiting(connection, tenant_id, one, interval)
    return answers.json(_shown(one, asked, found, waiting, now))


def _asked(query: StatsQuery, now: datetime) -> Asked:
    """Whole buckets. Raises Invalid."""
    filters.check(since=query.since, until=query.until)
    length = LENGTH[query.bucket]
    until = _floor((query.until or now) - timedelta(microseconds=1), query.bucket)
    if until > _LAST:
        detail = "it is in the last day that there is"
        raise Invalid([Fault("until", "invalid", detail, parameter=True)])
    since = query.since or until - (LOOK_BACK[query.bucket] - 1) * length
    asked = Asked(_floor(since, query.bucket), until + length, query.bucket)
    if asked.since >= asked.until:
        detail = "it is not after `since`"
        raise Invalid([Fault("until", "invalid", detail, parameter=True)])
    if asked.until - asked.since > MOST_BUCKETS * length:
        detail = f"at most {MOST_BUCKETS} buckets; ask by day, or for less"
        raise Invalid([Fault("since", "invalid", detail, parameter=True)])
    return asked


def _floor(moment: datetime, bucket: Bucket) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if bucket == "hour" else hour.replace(hour=0)


async def _interval(connection: Connection, tenant_id: UUID, asked: Asked) -> Interval:
    head = await log_views.head(connection, tenant_id)
    first, last = await filters.span(
        connection, tenant_id, head, since=asked.since, until=asked.until
    )
    return Interval(asked.since, asked.until, first, last)


def _shown(
    webhook_id: UUID,
    asked: Asked,
    found: Sequence[Figures],
    waiting: Sequence[Waiting],
    now: datetime,
) -> Stats:
    by_start = {figures.start: figures for figures in found}
    whole = by_start.get(None, _NOTHING)
    counts = _counts(whole, waiting)
    oldest = _oldest(waiting)
    ended = counts.succeeded + counts.dead
    return Stats(
        webhook_id=ids.encode("wh", webhook_id),
        since=shapes.time(asked.since),
        until=shapes.time(min(asked.until, max(now, asked.since))),
        bucket=asked.bucket,
        counts=counts,
        success_rate=round(counts.succeeded / ended, 6) if ended else None,
        attempt_ms=_attempt_ms(whole),
        lag=Lag(
            deliveries=stats.total(waiting, UNDELIVERED),
            seconds=_seconds(now - oldest) if oldest else 0.0,
        ),
        oldest_undelivered_at=shapes.time_or_none(oldest),
        buckets=[
            _bucket(start, by_start.get(start, _NOTHING)) for start in asked.starts()
        ],
    )


def _counts(whole: Figures, waiting: Sequence[Waiting]) -> Counts:
    owed: dict[str, int] = {}
    for each in waiting:
        owed[each.state] = owed.get(each.state, 0) + each.within
    return Counts(
        pending=owed.get("pending", 0),
        sending=owed.get("sending", 0),
        succeeded=whole.succeeded,
        retrying=owed.get("retrying", 0),
        dead=whole.dead + owed.get("dead", 0),
        cancelled=whole.cancelled + owed.get("cancelled", 0),
    )


def _oldest(waiting: Sequence[Waiting]) -> datetime | None:
    return min(
        (
            each.oldest
            for each in waiting
            if each.state in UNDELIVERED and each.oldest is not None
        ),
        default=None,
    )


def _attempt_ms(whole: Figures) -> AttemptMs:
    return AttemptMs(
        mean=round(whole.ms / whole.attempts, 1) if whole.attempts else None,
        p50=_milliseconds(whole.p50),
        p95=_milliseconds(whole.p95),
        p99=_milliseconds(whole.p99),
    )


def _bucket(start: datetime, figures: Figures) -> StatsBucket:
    return StatsBucket(
        start=shapes.time(start),
        succeeded=figures.succeeded,
        dead=figures.dead,
        p95_ms=_milliseconds(figures.p95),
    )


def _milliseconds(bin_number: int | None) -> float | None:
    return None if bin_number is None else round(stats.milliseconds(bin_number), 1)


def _seconds(age: timedelta) -> float:
    return max(0.0, round(age / timedelta(seconds=1), 1))


HANDLERS = (get_stats,)
