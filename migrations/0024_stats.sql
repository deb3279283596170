-- What became of deliveries, hour by hour: counted where it is written down, so that
-- statistics need not read what they count.
set local role daybook_owner;
set local search_path = daybook;

-- Which bin of a histogram so many milliseconds fall into: each is a tenth wider than the
-- one before, so what is told from bins is right to a twentieth. From 1 (0.1 ms and less).
create function bin_of(milliseconds real) returns smallint
language sql immutable
as $$
    select (ceil(ln(greatest(milliseconds, 0.1)::double precision)
        / ln(1.1::double precision)) + 25)::smallint
$$;

-- A webhook's deliveries by the hour in which they were created (one of a replay with the
-- replay). bin 0: how many of them are finished, and how. bin > 0: of their attempts, how
-- many took so long, and how many milliseconds in all.
create table delivery_figures (
    tenant_id uuid not null,
    webhook_id uuid not null,
    hour timestamptz not null,
    bin smallint not null,
    attempts bigint not null default 0,
    ms double precision not null default 0,
    succeeded bigint not null default 0,
    dead bigint not null default 0,
    cancelled bigint not null default 0,
    primary key (tenant_id, webhook_id, hour, bin)
) with (fillfactor = 70);
create index delivery_figures_by_hour on delivery_figures (tenant_id, hour);

-- What is still to be added to them: a few rows for each statement that settles. Only ever
-- inserted there, so no two that settle wait for each other; workers gather them. A reader
-- adds both, so figures are never behind.
create table delivery_tallies (
    tenant_id uuid not null,
    webhook_id uuid not null,
    hour timestamptz not null,
    bin smallint not null,
    attempts int not null default 0,
    ms double precision not null default 0,
    succeeded int not null default 0,
    dead int not null default 0,
    cancelled int not null default 0
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

do $$
declare
    name text;
begin
    foreach name in array array['delivery_figures', 'delivery_tallies'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy own_tenant on %I to daybook_app
                using (tenant_id = (select current_setting(''app.tenant_id'')::uuid))
                with check (tenant_id = (select current_setting(''app.tenant_id'')::uuid))',
            name);
        execute format('create policy all_tenants on %I to daybook_worker
            using (true) with check (true)', name);
        execute format('create policy backup on %I for select to daybook_backup
            using (true)', name);
        execute format('grant select on %I to daybook_backup, daybook_app', name);
        execute format('grant select, insert, update, delete on %I to daybook_worker', name);
    end loop;
end $$;
-- By the triggers below, of what is retried by hand.
grant insert on delivery_tallies to daybook_app;

-- In the transaction that writes attempts, whoever does.
create function tally_attempts() returns trigger
language plpgsql
set search_path = daybook, pg_temp
as $$
begin
    insert into delivery_tallies (tenant_id, webhook_id, hour, bin, attempts, ms)
    select a.tenant_id, a.webhook_id,
        date_trunc('hour', coalesce(j.created_at, a.recorded_at), 'UTC'),
        bin_of(a.duration_ms), count(*), sum(a.duration_ms)
    from written a
    left join replays j on a.replay > 0 and j.tenant_id = a.tenant_id
        and j.webhook_id = a.webhook_id and j.replay = a.replay
    where a.duration_ms is not null
    group by 1, 2, 3, 4;
    return null;
end $$;
create trigger tally after insert on attempts
    referencing new table as written
    for each statement execute function tally_attempts();

-- The same for what is finished; a retry by hand takes a result back. What is deleted because
-- it is old takes nothing back: its hour is shown no more, and goes by itself.
create function tally_results() returns trigger
language plpgsql
set search_path = daybook, pg_temp
as $$
declare
    sign constant int := case tg_op when 'INSERT' then 1 else -1 end;
begin
    insert into delivery_tallies (
        tenant_id, webhook_id, hour, bin, succeeded, dead, cancelled)
    select r.tenant_id, r.webhook_id,
        date_trunc('hour', coalesce(j.created_at, r.recorded_at), 'UTC'), 0,
        sign * count(*) filter (where r.state = 'succeeded'),
        sign * count(*) filter (where r.state = 'dead'),
        sign * count(*) filter (where r.state = 'cancelled')
    from written r
    left join replays j on r.replay > 0 and j.tenant_id = r.tenant_id
        and j.webhook_id = r.webhook_id and j.replay = r.replay
    where tg_op = 'INSERT' or coalesce(j.created_at, r.recorded_at) >= kept_since(r.tenant_id)
    group by 1, 2, 3;
    return null;
end $$;
create trigger tally after insert on results
    referencing new table as written
    for each statement execute function tally_results();
create trigger untally after delete on results
    referencing old table as written
    for each statement execute function tally_results();
revoke all on function tally_attempts, tally_results from public;

-- What there is by now. Reads all attempts once: some seconds for a million.
set local role daybook_worker;
insert into delivery_figures (tenant_id, webhook_id, hour, bin, attempts, ms)
select a.tenant_id, a.webhook_id,
    date_trunc('hour', coalesce(j.created_at, a.recorded_at), 'UTC'),
    bin_of(a.duration_ms), count(*), sum(a.duration_ms)
from attempts a
left join replays j using (tenant_id, webhook_id, replay)
where a.duration_ms is not null
group by 1, 2, 3, 4;
insert into delivery_figures (
    tenant_id, webhook_id, hour, bin, succeeded, dead, cancelled)
select r.tenant_id, r.webhook_id,
    date_trunc('hour', coalesce(j.created_at, r.recorded_at), 'UTC'), 0,
    count(*) filter (where r.state = 'succeeded'),
    count(*) filter (where r.state = 'dead'),
    count(*) filter (where r.state = 'cancelled')
from results r
left join replays j using (tenant_id, webhook_id, replay)
group by 1, 2, 3;
