-- The projection engine: pausing, poison events, rebuilds; and the first read model on it.
set local role daybook_owner;
set local search_path = daybook;

-- generation: which rows of the projection's tables are live. A rebuild writes the next
-- one beside them; switching is an update of this one number.
alter table checkpoints
    add column version int not null default 1,
    add column generation int not null default 1,
    add column paused_by text,
    add column needs text,
    add column sweep boolean not null default false;

-- Events a projection could not apply. state:
--   stopped  the projection waits before it (policy pause)
--   parked   it and what follows in its stream wait here; the others went on
--   skipped  left out, by policy or by an operator
-- A row leaves when its event was applied after all.
create table projection_errors (
    error_id bigint generated always as identity primary key,
    name text not null references checkpoints,
    log_position bigint not null,
    tenant_id uuid not null,
    stream text not null,
    state text not null check (state in ('stopped', 'parked', 'skipped')),
    error text not null,
    decided_by text,
    retry boolean not null default false,
    at timestamptz not null default clock_timestamp(),
    unique (name, log_position)
);
create index projection_errors_parked on projection_errors (name, tenant_id, stream)
    where state = 'parked';

-- Rebuilds, asked for and done. Without a tenant the rows are made anew as another
-- generation and the pointer moves; with one, that tenant's rows are replaced in place.
create table rebuilds (
    rebuild_id uuid primary key,
    name text not null references checkpoints,
    tenant_id uuid,
    version int not null,
    generation int,
    state text not null check (
        state in ('running', 'ready', 'switched', 'cancelled', 'failed')),
    accept boolean not null default false,
    log_position bigint not null default 0,
    target bigint not null,
    applied_at timestamptz,
    asked_by text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    parity jsonb,
    error text
);
create unique index rebuilds_one_at_a_time on rebuilds (name)
    where state in ('running', 'ready');

do $$
declare
    name text;
begin
    foreach name in array array['projection_errors', 'rebuilds'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy platform on %I to daybook_worker, daybook_operator
            using (true) with check (true)', name);
    end loop;
end $$;
grant select, insert, update, delete on projection_errors, rebuilds to daybook_worker;
grant select, insert, update on projection_errors, rebuilds to daybook_operator;
grant update (paused_by, sweep) on checkpoints to daybook_operator;

-- Which rows of a projection are live, for those who read its tables.
create function live_generation(projection text) returns int
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select generation from checkpoints where name = projection
$$;
reset role;
grant create on schema daybook to daybook_operator;  -- for the next statement only
alter function daybook.live_generation owner to daybook_operator;
revoke create on schema daybook from daybook_operator;
revoke all on function daybook.live_generation from public;
grant execute on function daybook.live_generation to daybook_app, daybook_worker;
set local role daybook_owner;

-- The read model `streams`: where each stream is.
create table stream_heads (
    tenant_id uuid not null,
    generation int not null,
    stream text not null,
    version bigint not null,
    position bigint not null,
    updated_at timestamptz not null,
    primary key (tenant_id, generation, stream)
) with (fillfactor = 80);
alter table stream_heads enable row level security;
alter table stream_heads force row level security;
create policy own_tenant on stream_heads for select to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on stream_heads to daybook_worker using (true) with check (true);
grant select on stream_heads to daybook_app;
grant select, insert, update, delete on stream_heads to daybook_worker;
insert into checkpoints (name) values ('streams');
