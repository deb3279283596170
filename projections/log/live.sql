-- name: heads
-- Where the logs of these tenants end: one question for all who listen, asked as the
-- operator, who sees figures and no event.
select tenant_id, head from log_heads(%(tenants)s::uuid[])

-- name: events_after
-- What came after a position, as far as it fits: at most so many, and so many bytes of
-- theirs, but always the first. Sizes are read from where the values lie, not the values.
select event_id, position, type, stream, version, source, source_id, subject, state, metadata,
    actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from (
    select e.*, sum(octet_length(e.state) + coalesce(octet_length(e.metadata), 0))
        over (order by e.position rows between unbounded preceding and 1 preceding) as before
    from (
        select * from events
        where tenant_id = %(tenant_id)s and position > %(after)s
        order by position
        limit %(limit)s) e) s
where coalesce(s.before, 0) < %(most_bytes)s
order by position

-- name: events_at
-- The same of the events at these positions.
select event_id, position, type, stream, version, source, source_id, subject, state, metadata,
    actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from (
    select e.*, sum(octet_length(e.state) + coalesce(octet_length(e.metadata), 0))
        over (order by e.position rows between unbounded preceding and 1 preceding) as before
    from events e
    where e.tenant_id = %(tenant_id)s and e.position = any(%(positions)s::bigint[])) s
where coalesce(s.before, 0) < %(most_bytes)s
order by position
