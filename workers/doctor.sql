-- name: workers
-- Who lives, and whether any lane has no living owner.
select (select count(*) from owners where lease_until > clock_timestamp()) as workers,
    (select count(*) from lanes l where not exists (
        select from owners o
        where o.owner = l.owner and o.lease_until > clock_timestamp())) as orphans

-- name: owed
-- What is still to be delivered.
select count(*) as owed, count(*) filter (where next_attempt_at is not null) as retrying
from owed

-- name: server
-- Connections, against the server's limit.
select (select count(*) from pg_stat_activity where datname is not null) as used,
    current_setting('max_connections')::int as most,
    current_setting('server_version') as version
