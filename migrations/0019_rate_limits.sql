-- How much of what has been asked for in the minute that runs, over all API processes.
set local role daybook_owner;
set local search_path = daybook;

-- One row a bucket: what is counted together. Its window begins with the first request after
-- the last one has ended. `wanted`, `quota` and `granted` are those of the last call. Not
-- logged: nothing of it is worth keeping after a crash of the server, with which all windows
-- begin anew.
create unlogged table rate_windows (
    bucket text primary key,
    ends_at timestamptz not null,
    used bigint not null,
    wanted bigint not null,
    quota bigint not null,
    granted bigint not null
) with (fillfactor = 50);

-- Takes what is wanted out of each bucket's quota, or what is left of it. Rows are locked in
-- the order of the buckets, so two calls never wait for each other crosswise, and as long as
-- this one statement takes. The time is read once a row, with the row locked: read twice it
-- could begin a window and keep the last one's end.
create function take_quotas(
    buckets text[], wanted bigint[], quotas bigint[], seconds double precision[]
) returns table (bucket text, granted bigint, used bigint, seconds_left double precision)
language sql security definer
set search_path = daybook, pg_temp
as $$
    insert into rate_windows as w (bucket, ends_at, used, wanted, quota, granted)
    select t.bucket, clock_timestamp() + make_interval(secs => t.seconds),
        least(t.wanted, t.quota), t.wanted, t.quota, least(t.wanted, t.quota)
    from unnest(buckets, wanted, quotas, seconds) as t (bucket, wanted, quota, seconds)
    order by t.bucket collate "C"
    on conflict (bucket) do update
    set (ends_at, used, wanted, quota, granted) = (
        select case when n.is_over then excluded.ends_at else w.ends_at end,
            case when n.is_over then 0 else w.used end + g.granted,
            excluded.wanted, excluded.quota, g.granted
        from (select w.ends_at <= clock_timestamp() as is_over offset 0) n
        cross join lateral (
            select case when n.is_over then excluded.granted
                else greatest(0, least(excluded.wanted, excluded.quota - w.used))
            end as granted) g)
    returning w.bucket, w.granted, w.used,
        extract(epoch from w.ends_at - clock_timestamp())::double precision
$$;
revoke all on function take_quotas from public;
grant execute on function take_quotas to daybook_app;

-- Windows that have ended are swept.
grant select, update, delete on rate_windows to daybook_worker;
grant select on rate_windows to daybook_backup;
