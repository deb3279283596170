-- The delivery engine: order within a stream, replays, the health of endpoints, what is
-- told of dead deliveries.
set local role daybook_owner;
set local search_path = daybook;

-- The version with which a webhook was enabled last: attempts begun under an older one do
-- not count when it is asked whether to disable it.
alter table webhooks add column enabled_version int not null default 1;

-- What a lane's owner knows of the endpoint, for the next owner and for readers; kept in
-- the live lane only.
--   failures       failed attempts since the last that succeeded; the first of them was at
--                  failing_since
--   opened_at      since when the circuit is open
--   skip_through   what is owed up to here is cancelled (the webhook was enabled with skip)
alter table lanes
    add column failures int not null default 0,
    add column opened_at timestamptz,
    add column skip_through bigint not null default 0;
-- Enabling begins a new count, in the transaction that enables.
grant update (failures, failing_since, opened_at, skip_through) on lanes to daybook_app;

-- stream: only where its order is kept; then its first row is sent and the others wait,
-- with next_attempt_at 'infinity', until it is finished.
-- held_at: dead, and nothing of its stream goes on behind it (on_dead hold).
-- base: attempts that were made before it was redriven; the schedule begins anew there.
alter table owed
    add column stream text,
    add column held_at timestamptz,
    add column base int not null default 0;
create index owed_in_order on owed (tenant_id, webhook_id, replay, stream, position)
    where stream is not null;
create index owed_held on owed (tenant_id, webhook_id, replay) where held_at is not null;

-- snippet: the beginning of the answer, sealed, where the webhook keeps it.
alter table attempts
    add column snippet_key_id text,
    add column snippet bytea;

-- Replays: events of the past owed to one webhook, each with a lane of its own.
--   replay       1, 2, 3 ... within the webhook; 0 in other tables is the live delivery
--   kind         'start': what is older than the webhook; 'replay': asked for later
--   patterns, streams, filter
--                what matches: the webhook's own as it was at the request, or other types
--   cursor       up to here events were looked at, and owed if they match; moved in the
--                transaction that owes them, so a crash neither skips nor repeats any
--   planned      how many there would be, counted at the request
create table replays (
    tenant_id uuid not null,
    webhook_id uuid not null,
    replay int not null,
    replay_id uuid not null,
    kind text not null check (kind in ('start', 'replay')),
    from_position bigint not null,
    to_position bigint not null,
    event_types text[],
    patterns text[] not null,
    streams text[] not null,
    filter jsonb,
    only_failed boolean not null,
    fresh_ids boolean not null,
    webhook_version int not null,
    cursor bigint not null,
    planned bigint,
    handed_off bigint not null default 0,
    succeeded bigint not null default 0,
    dead bigint not null default 0,
    state text not null default 'running' check (
        state in ('running', 'completed', 'cancelled', 'failed')),
    created_by text not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (tenant_id, webhook_id, replay)
) with (fillfactor = 80);
create unique index replays_by_id on replays (tenant_id, replay_id);
create index replays_running on replays (tenant_id) where state = 'running';

-- Dead deliveries of a webhook that no report has told of yet.
create table webhook_deaths (
    tenant_id uuid not null,
    webhook_id uuid not null,
    reports int not null default 0,
    reported_at timestamptz,
    count bigint not null,
    since timestamptz,
    last_position bigint,
    primary key (tenant_id, webhook_id)
) with (fillfactor = 80);

do $$
declare
    name text;
begin
    foreach name in array array['replays', 'webhook_deaths'] loop
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
        execute format('grant select on %I to daybook_backup', name);
    end loop;
end $$;
grant select, insert, update on replays to daybook_app;
grant select, update on replays to daybook_worker;
grant select, insert, update, delete on webhook_deaths to daybook_worker;
-- A replay that has ended has no lane; what a worker does on ending runs as its role.
grant update, delete on lanes to daybook_worker;

-- As before (see 0006), and: what is told apart by order, by replays, by skipping.
create or replace view deliveries with (security_invoker = true) as
select o.tenant_id, o.position, w.number, o.webhook_id, o.replay, o.webhook_version,
    o.sequence, s.state, o.attempts, o.status_code, o.error,
    case when s.state = 'retrying' then o.next_attempt_at end as next_attempt_at,
    case s.state
        when 'cancelled' then coalesce(j.finished_at, w.updated_at)
        when 'dead' then o.held_at
    end as finished_at,
    w.state as webhook_state, e.event_id, e.type, e.stream, e.recorded_at,
    j.replay_id, coalesce(j.created_at, e.recorded_at) as created_at
from owed o
join webhooks w using (tenant_id, webhook_id)
join events e using (tenant_id, position)
left join lanes l using (tenant_id, webhook_id, replay)
left join replays j using (tenant_id, webhook_id, replay)
cross join lateral (
    select case
        when w.state = 'deleted' or j.state = 'cancelled' then 'cancelled'
        when o.held_at is not null then 'dead'
        -- On the wire; what comes of it is still recorded, whatever was decided meanwhile.
        when o.next_attempt_at is null and (o.attempts > 0 or (
            o.stream is null and o.position <= l.sent_through)) then 'sending'
        when o.position <= l.skip_through then 'cancelled'
        when o.attempts > 0 then 'retrying'
        else 'pending'
    end as state) s
union all
select r.tenant_id, r.position, w.number, r.webhook_id, r.replay, r.webhook_version,
    r.sequence, r.state, r.attempts, r.status_code, r.error, null, r.finished_at,
    w.state, e.event_id, e.type, e.stream, e.recorded_at,
    j.replay_id, coalesce(j.created_at, e.recorded_at)
from results r
join webhooks w using (tenant_id, webhook_id)
join events e using (tenant_id, position)
left join replays j using (tenant_id, webhook_id, replay);
