-- name: projections
-- How far each projection is behind the head of the log, and when it last moved.
select c.name, c.error, c.failed_position,
    coalesce((select e.log_position from events e order by e.log_position desc limit 1), 0)
        - c.log_position as lag,
    extract(epoch from clock_timestamp() - c.advanced_at)::float8 as seconds
from checkpoints c
order by c.name

-- name: workers
-- Who lives, and whether any lane has no living owner.
select (select count(*) from owners where lease_until > clock_timestamp()) as workers,
    (select count(*) from lanes l where not exists (
        select from owners o
        where o.owner = l.owner and o.lease_until > clock_timestamp())) as orphans

-- name: queue
-- What is still to be delivered.
select count(*) as owed, count(*) filter (where next_attempt_at is not null) as retrying
from owed

-- name: server
-- Connections, against the server's limit.
select (select count(*) from pg_stat_activity where datname is not null) as used,
    current_setting('max_connections')::int as most,
    current_setting('server_version') as version
