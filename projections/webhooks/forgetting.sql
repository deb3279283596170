-- name: outdated
-- Tenants whose oldest results may be older than they keep them, since when they keep them,
-- and the end of their logs. A look or two in an index for each tenant.
select t.tenant_id, s.since, h.position as head
from tenants t
cross join lateral (select kept_since(t.tenant_id) as since) s
cross join lateral (
    select r.recorded_at from results r
    where r.tenant_id = t.tenant_id
    order by r.position limit 1) o
cross join lateral (
    select e.position from events e
    where e.tenant_id = t.tenant_id
    order by e.position desc limit 1) h
where o.recorded_at < s.since

-- name: forget_deliveries
-- Some of a tenant's finished deliveries that are kept no longer, in the order of its log,
-- with their attempts: both or, after a crash, none. `last` is the last position that can
-- have any; what finished late, or was replayed, is kept for its own time.
--
-- One worker at a time, or two that delete in different orders would wait for each other.
-- One that is asked for again by hand meanwhile is owed by then: its result is gone when its
-- row's lock is ours, and its attempts stay.
with turn as materialized (
    select pg_try_advisory_xact_lock(4919131752989213767) as is_ours
),
old as materialized (
    select r.position, r.webhook_id, r.replay, r.recorded_at
    from results r
    where (select is_ours from turn) and r.tenant_id = %(tenant_id)s
        and r.position between %(first)s and %(last)s and r.recorded_at < %(since)s
        and r.finished_at < %(since)s
        -- As its tenant keeps them by now: that may be longer than when this run began.
        and r.finished_at < (select kept_since(%(tenant_id)s))
    order by r.position
    limit %(most)s
),
gone as (
    delete from results r
    using old o
    where r.tenant_id = %(tenant_id)s and r.position = o.position
        and r.webhook_id = o.webhook_id and r.replay = o.replay
        and r.recorded_at = o.recorded_at
    returning r.position, r.webhook_id, r.replay, r.recorded_at
),
tried as (
    delete from attempts a
    using gone g
    where a.tenant_id = %(tenant_id)s and a.position = g.position
        and a.webhook_id = g.webhook_id and a.replay = g.replay
        and a.recorded_at = g.recorded_at
)
select count(*) as gone, max(position) as through from old

-- name: forget_figures
-- Statistics of hours that are kept no longer.
with gone as (
    delete from delivery_figures
    where ctid = any(array(
        select f.ctid
        from tenants t
        join delivery_figures f on f.tenant_id = t.tenant_id
            and f.hour < date_trunc('hour', kept_since(t.tenant_id), 'UTC')
        limit %(most)s))
    returning 1
)
select count(*) as gone from gone

-- name: drop_empty_partition
-- A month of which nothing is left; at most one a call.
select drop_empty_partition() as part
