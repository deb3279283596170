-- name: server
-- Connections, against the server's limit.
select (select count(*) from pg_stat_activity where datname is not null) as used,
    current_setting('max_connections')::int as most,
    current_setting('server_version') as version
