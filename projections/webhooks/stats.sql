-- name: figures
-- A webhook's figures in all (start null), and for each bucket that has any. What a part of
-- the attempts took at most is the first bin in which so many are reached.
with found as (
    select hour, bin, attempts, ms, succeeded, dead, cancelled
    from delivery_figures
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and hour >= %(since)s and hour < %(until)s
    union all
    select hour, bin, attempts, ms, succeeded, dead, cancelled
    from delivery_tallies
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and hour >= %(since)s and hour < %(until)s
),
kept as (
    select date_trunc(%(bucket)s, hour, 'UTC') as start, bin, attempts, ms, succeeded, dead,
        cancelled
    from found
    where hour >= date_trunc('hour', kept_since(%(tenant_id)s), 'UTC')
),
summed as (
    select start, bin, sum(attempts) as attempts, sum(ms) as ms,
        sum(succeeded) as succeeded, sum(dead) as dead, sum(cancelled) as cancelled
    from kept
    group by grouping sets ((start, bin), (bin))
),
ranked as (
    select *, sum(attempts) over (partition by start order by bin) as through,
        sum(attempts) over (partition by start) as total
    from summed
)
select start, sum(succeeded)::bigint as succeeded, sum(dead)::bigint as dead,
    sum(cancelled)::bigint as cancelled, max(total)::bigint as attempts,
    sum(ms)::float8 as ms,
    min(bin) filter (where attempts > 0 and through >= 0.50 * total) as p50,
    min(bin) filter (where attempts > 0 and through >= 0.95 * total) as p95,
    min(bin) filter (where attempts > 0 and through >= 0.99 * total) as p99
from ranked
group by start
order by start

-- name: waiting
-- What is owed to a webhook, by state: in all, and of it those created in an interval, live
-- ones by the positions first to last. Beyond where a live lane has begun nobody has taken
-- anything out, and deliveries are numbered without a hole: so its backlog, however long,
-- is counted by its first and its last number. The others are looked at.
with lane as (
    select l.webhook_id, l.replay, l.sent_through, l.skip_through, w.state as webhook_state,
        j.state as replay_state, j.created_at,
        case when l.replay = 0 then greatest(l.sent_through, l.skip_through)
            else 9223372036854775807 end as begun
    from lanes l
    join webhooks w using (tenant_id, webhook_id)
    left join replays j using (tenant_id, webhook_id, replay)
    where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s
),
looked_at as (
    select owed_state(
            l.webhook_state, l.replay_state, o.once or o.base > 0, o.held_at is not null,
            o.next_attempt_at is not null, o.attempts, o.stream is not null, o.position,
            l.sent_through, l.skip_through) as state,
        case when l.replay = 0 then o.position between %(first)s and %(last)s
            else l.created_at >= %(since)s and l.created_at < %(until)s end as is_within,
        coalesce(l.created_at, o.recorded_at) as created_at
    from lane l
    join owed o on o.tenant_id = %(tenant_id)s and o.webhook_id = l.webhook_id
        and o.replay = l.replay and o.position <= l.begun
),
backlog as (
    select s.total, s.within, s.oldest
    from lane l
    cross join lateral (
        select coalesce(a.last - a.first + 1, 0) as total,
            coalesce(b.last - b.first + 1, 0) as within, a.oldest
        from (select
            (select o.sequence from owed o
             where o.tenant_id = %(tenant_id)s and o.webhook_id = l.webhook_id
                and o.replay = 0 and o.position > l.begun
             order by o.position limit 1) as first,
            (select o.sequence from owed o
             where o.tenant_id = %(tenant_id)s and o.webhook_id = l.webhook_id
                and o.replay = 0 and o.position > l.begun
             order by o.position desc limit 1) as last,
            (select o.recorded_at from owed o
             where o.tenant_id = %(tenant_id)s and o.webhook_id = l.webhook_id
                and o.replay = 0 and o.position > l.begun
             order by o.position limit 1) as oldest) a
        cross join (select
            (select o.sequence from owed o
             where o.tenant_id = %(tenant_id)s and o.webhook_id = l.webhook_id
                and o.replay = 0 and o.position > l.begun
                and o.position between %(first)s and %(last)s
             order by o.position limit 1) as first,
            (select o.sequence from owed o
             where o.tenant_id = %(tenant_id)s and o.webhook_id = l.webhook_id
                and o.replay = 0 and o.position > l.begun
                and o.position between %(first)s and %(last)s
             order by o.position desc limit 1) as last) b) s
    where l.replay = 0
)
select state, count(*) as total, count(*) filter (where is_within) as within,
    min(created_at) as oldest
from looked_at
group by state
union all
select 'pending', total, within, oldest from backlog where total > 0

-- name: gather_figures
-- Some of what was tallied is added to the figures. Workers may do so side by side: each
-- takes rows that nobody else has, and figures are locked in the order of their key. In one
-- transaction, so whatever dies, each row is counted once.
with taken as (
    delete from delivery_tallies
    where ctid = any(array(
        select ctid from delivery_tallies limit %(most)s for update skip locked))
    returning *
),
added as (
    insert into delivery_figures as f (
        tenant_id, webhook_id, hour, bin, attempts, ms, succeeded, dead, cancelled)
    select tenant_id, webhook_id, hour, bin, sum(attempts), sum(ms), sum(succeeded),
        sum(dead), sum(cancelled)
    from taken
    group by tenant_id, webhook_id, hour, bin
    order by tenant_id, webhook_id, hour, bin
    on conflict (tenant_id, webhook_id, hour, bin) do update
    set attempts = f.attempts + excluded.attempts, ms = f.ms + excluded.ms,
        succeeded = f.succeeded + excluded.succeeded, dead = f.dead + excluded.dead,
        cancelled = f.cancelled + excluded.cancelled
)
select count(*) as gone from taken
