-- name: server
-- Connections, against the server's limit: of this, some are kept back for superusers.
select (select count(*) from pg_stat_activity where datname is not null) as used,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int as most,
    current_setting('server_version') as version

-- name: ours
-- Those of Daybook's processes, wherever they run, by what they are for.
select substr(application_name, 9) as purpose, count(*) as connections
from pg_stat_activity
where datname = current_database() and application_name like 'daybook %%'
    and pid <> pg_backend_pid()
group by application_name
order by connections desc, purpose

-- name: clock
-- The database's time; leases and retries go by it.
select clock_timestamp() as now

-- name: log
-- How much there is.
select coalesce((
        select log_position from events order by log_position desc limit 1), 0) as events,
    pg_size_pretty(pg_database_size(current_database())) as size
