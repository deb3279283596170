"""Deliveries of the past in quantity, made in the database: not what is measured.

Eighty days of events and of what became of them, as workers would have left it. The tenant,
its webhooks and the first events are there already; they become the oldest.
"""

from typing import Any

import psycopg

DAYS = 80
CHUNK = 20_000  # events in one statement
AGE = """
    update daybook.events set recorded_at = now() - make_interval(days => %(days)s + 1),
        occurred_at = now() - make_interval(days => %(days)s + 1)
"""
MONTHS = """
do $$
declare
    month timestamptz;
    parent text;
begin
    set local role daybook_owner;
    for back in 1 .. 3 loop
        month := date_trunc('month', now(), 'UTC') - make_interval(months => back);
        foreach parent in array array['attempts', 'results'] loop
            execute format(
                'create table daybook.%I partition of daybook.%I
                    for values from (%L) to (%L)',
                parent || to_char(month at time zone 'UTC', '_YYYY_MM'), parent,
                month, month + interval '1 month');
        end loop;
    end loop;
end $$
"""
# Events first to last of so many in all, evenly over the days; every hundredth is rare.
EVENTS = """
    insert into daybook.events (
        tenant_id, position, log_position, stream, version, event_id, type, topic, source,
        state, depth, occurred_at, recorded_at)
    select %(tenant)s, b.position + i, b.log_position + i, 'past/' || i, 1,
        'evt_' || lpad(i::text, 26, '0'),
        case when i %% 100 = 0 then 'bench.rare'
            else (array['bench.made', 'bench.moved', 'other.done'])[1 + i %% 3] end,
        'published', '/daybook', '{"x":1}', 0, t.at, t.at
    from (select max(position) as position, max(log_position) as log_position
        from daybook.events where event_id not like 'evt_0000000%%') b
    cross join generate_series(%(first)s::int, %(last)s::int) i
    cross join lateral (
        select now() - make_interval(secs =>
            86400.0 * %(days)s * (1 - i::float8 / %(events)s::float8)) as at) t
"""
# One in 25 dead after two attempts, most by an answer; a hundredth cancelled.
RESULTS = """
    insert into daybook.results (
        tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version,
        state, attempts, status_code, error, finished_at)
    select e.tenant_id, e.position, w.webhook_id, 0, e.recorded_at, e.position, 1,
        k.state, case k.state when 'succeeded' then 1 when 'dead' then 2 else 0 end,
        k.status_code, case k.state when 'dead' then 'status' end,
        e.recorded_at + interval '1 second'
    from daybook.events e
    cross join daybook.webhooks w
    cross join lateral (select case (e.position * 7 + w.number * 13) %% 100
        when 0 then 'cancelled' when 1 then 'dead' when 2 then 'dead' when 3 then 'dead'
        when 4 then 'dead' else 'succeeded' end as state) s
    cross join lateral (select s.state, case s.state when 'succeeded' then 200
        when 'dead' then (array[503, 500, 404, null])[1 + e.position %% 4] end
        as status_code) k
    where e.tenant_id = %(tenant)s and e.position between %(from)s and %(through)s
"""
ATTEMPTS = """
    insert into daybook.attempts (
        tenant_id, position, webhook_id, replay, number, recorded_at, trigger, outcome,
        started_at, duration_ms, status_code, webhook_version, secret_version, body_bytes,
        body_sha256, response_headers, response_bytes)
    select r.tenant_id, r.position, r.webhook_id, 0, n, r.recorded_at, 'schedule',
        case r.state when 'succeeded' then 'succeeded' else 'failed' end, r.finished_at,
        exp(1 + 4 * random()), r.status_code, 1, 1, 212, '\\x9f2c', '{}', 0
    from daybook.results r cross join lateral generate_series(1, r.attempts) n
    where r.tenant_id = %(tenant)s and r.position between %(from)s and %(through)s
"""
LAST = "select max(position) from daybook.events"


def prepare(connection: psycopg.Connection[Any]) -> None:
    """What there is becomes the oldest, and there are partitions for what is younger."""
    connection.execute(AGE.encode(), {"days": DAYS})
    connection.execute(MONTHS.encode())


def fill(connection: psycopg.Connection[Any], tenant: Any, events: int) -> None:
    """So many events, each delivered to all webhooks."""
    for first in range(1, events + 1, CHUNK):
        last = min(events, first + CHUNK - 1)
        params = {"tenant": tenant, "days": DAYS, "events": events}
        before = _last(connection)
        connection.execute(EVENTS.encode(), params | {"first": first, "last": last})
        params |= {"from": before + 1, "through": _last(connection)}
        for statement in (RESULTS, ATTEMPTS):
            connection.execute(statement.encode(), params)


def _last(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(LAST).fetchone()
    assert row is not None
    return int(row[0])
