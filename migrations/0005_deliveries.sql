-- From the log to receivers: checkpoints, what is owed, who sends it, what came of it.
set local role daybook_owner;
set local search_path = daybook;

-- How far each projection has come. The row is locked for the length of a batch; made here
-- because a projection that found none could not tell "new" from "not allowed to see".
create table checkpoints (
    name text primary key,
    log_position bigint not null default 0,
    advanced_at timestamptz not null default clock_timestamp(),
    failed_at timestamptz,
    failed_position bigint,
    error text
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 0);
insert into checkpoints (name) values ('deliveries');
grant select, update on checkpoints to daybook_worker;
grant select on checkpoints to daybook_operator;

-- How many deliveries a webhook has been given, and which batch gave the last: what a
-- worker asks to learn which of its lanes have new rows.
create table webhook_sequences (
    tenant_id uuid not null,
    webhook_id uuid not null,
    sequence bigint not null,
    handed_off bigint not null,
    primary key (tenant_id, webhook_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_cost_delay = 0);
create index webhook_sequences_by_batch on webhook_sequences (handed_off);

-- What is still to be delivered. A row leaves when its delivery is finished, so the table
-- stays small. replay 0 is the live delivery. attempts counts those that have begun.
--   next_attempt_at null, attempts 0   waits for its first attempt, or is in it
--                                      (position <= its lane's sent_through)
--   next_attempt_at null, attempts > 0 attempt number `attempts` may be on the wire
--   next_attempt_at set                waits for a retry
-- once: the next attempt was asked for by hand after the delivery had finished; it is the
-- only one.
create table owed (
    tenant_id uuid not null,
    webhook_id uuid not null,
    replay int not null default 0,
    position bigint not null,
    recorded_at timestamptz not null,
    sequence bigint,
    webhook_version int not null,
    attempts int not null default 0,
    trigger text not null default 'schedule',
    once boolean not null default false,
    next_attempt_at timestamptz,
    status_code int,
    error text,
    primary key (tenant_id, webhook_id, replay, position)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_cost_delay = 0);
create index owed_retries on owed (tenant_id, webhook_id, replay, next_attempt_at)
    where next_attempt_at is not null;

-- The workers that live: each says so every 2 s. One that has not for 10 s (the database's
-- clock) owns nothing any more.
create table owners (
    owner uuid primary key,
    lease_until timestamptz not null
) with (fillfactor = 50);
grant select, insert, update, delete on owners to daybook_worker;

-- A lane is what one worker at a time sends: one webhook, live (or, one day, one replay).
-- epoch rises with each taking; whatever a former owner still writes names its own epoch
-- and changes nothing. sent_through: first attempts up to here may be on the wire.
create table lanes (
    tenant_id uuid not null,
    webhook_id uuid not null,
    replay int not null default 0,
    owner uuid,
    epoch bigint not null default 0,
    sent_through bigint not null default 0,
    failing_since timestamptz,
    primary key (tenant_id, webhook_id, replay)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_cost_delay = 0);
create index lanes_by_owner on lanes (owner);

-- Something about a lane changed that its owner cannot know: a configuration, a retry asked
-- for by hand. The owner deletes the row and looks.
create table pokes (
    poke_id bigint generated always as identity primary key,
    tenant_id uuid not null,
    webhook_id uuid not null
);

-- One row an HTTP request; and one row a finished delivery. Only ever inserted (a retry by
-- hand takes a result back into owed). Partitioned by the time the *event* was recorded: a
-- function of the key, so that uniqueness holds across partitions.
create table attempts (
    tenant_id uuid not null,
    position bigint not null,
    webhook_id uuid not null,
    replay int not null,
    number int not null,
    recorded_at timestamptz not null,
    trigger text not null,
    outcome text not null check (outcome in ('succeeded', 'failed', 'unknown', 'late')),
    started_at timestamptz not null,
    duration_ms real,
    status_code int,
    error text,
    detail text,
    retry_after_seconds int,
    webhook_version int not null,
    secret_version int,
    body_bytes int,
    body_sha256 bytea,
    response_headers jsonb,
    response_bytes int,
    primary key (tenant_id, position, webhook_id, replay, number, recorded_at)
) partition by range (recorded_at);

create table results (
    tenant_id uuid not null,
    position bigint not null,
    webhook_id uuid not null,
    replay int not null,
    recorded_at timestamptz not null,
    sequence bigint,
    webhook_version int not null,
    state text not null check (state in ('succeeded', 'dead', 'cancelled')),
    attempts int not null,
    status_code int,
    error text,
    finished_at timestamptz not null,
    primary key (tenant_id, position, webhook_id, replay, recorded_at)
) partition by range (recorded_at);
create index results_by_webhook on results (tenant_id, webhook_id, position);

-- For an event whose month has no partition (yet, or any more).
create table attempts_other partition of attempts default;
create table results_other partition of results default;

-- A test delivery somebody waits for: the API inserts, a worker takes and answers.
create table test_requests (
    tenant_id uuid not null,
    request_id uuid not null,
    webhook_id uuid not null,
    type text not null,
    data bytea not null,
    asked_at timestamptz not null default clock_timestamp(),
    taken_at timestamptz,
    answer jsonb,
    primary key (tenant_id, request_id)
);
create index test_requests_open on test_requests (asked_at) where taken_at is null;

do $$
declare
    name text;
begin
    foreach name in array array[
        'webhook_sequences', 'owed', 'lanes', 'pokes', 'attempts', 'results',
        'attempts_other', 'results_other', 'test_requests'
    ] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy own_tenant on %I to daybook_app
                using (tenant_id = (select current_setting(''app.tenant_id'')::uuid))
                with check (tenant_id = (select current_setting(''app.tenant_id'')::uuid))',
            name);
        execute format(
            'create policy all_tenants on %I to daybook_worker
                using (true) with check (true)', name);
    end loop;
end $$;
grant select, insert, update, delete on webhook_sequences, owed, lanes, pokes to daybook_worker;
grant select, insert on attempts to daybook_worker;
grant select, insert, delete on results to daybook_worker;
grant select, update, delete on test_requests to daybook_worker;
grant select, insert on webhook_sequences, lanes to daybook_app;
grant insert on pokes to daybook_app;
grant select, insert, update on owed to daybook_app;
grant select on attempts to daybook_app;
grant select, delete on results to daybook_app;
grant select, insert, delete on test_requests to daybook_app;

-- A partition a month, made ahead: this month and the next two. Called by migrations and
-- by workers once a day; whoever comes second finds the work done.
create function make_partitions() returns void
language plpgsql security definer
set search_path = daybook, pg_temp
as $$
declare
    month timestamptz;
    parent text;
    part text;
begin
    perform pg_advisory_xact_lock(4919131752989213765);
    for ahead in 0 .. 2 loop
        month := date_trunc('month', now(), 'UTC') + make_interval(months => ahead);
        foreach parent in array array['attempts', 'results'] loop
            part := parent || to_char(month at time zone 'UTC', '_YYYY_MM');
            if to_regclass('daybook.' || part) is null then
                execute format(
                    'create table %I partition of %I for values from (%L) to (%L)',
                    part, parent, month, month + interval '1 month');
                execute format('alter table %I enable row level security', part);
                execute format('alter table %I force row level security', part);
            end if;
        end loop;
    end loop;
end $$;
revoke all on function make_partitions from public;
grant execute on function make_partitions to daybook_worker;
select make_partitions();
