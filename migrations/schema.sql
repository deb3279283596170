-- The whole schema as it stands, for reading. Databases are made from the numbered files,
-- by `daybook migrate`; a test holds the two together. See schema.py for how this one is
-- written.

-- Which of the numbered files a database has.
create table if not exists public.schema_migrations (
    version text primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default clock_timestamp()
);


-- 0001 roles ----------------------------------------------------------------------------

begin;

-- The roles, and the schema that everything lives in.
--
-- Roles belong to the whole server, so another database of Daybook's may have made them
-- already, perhaps in this very moment: both are fine. All are NOLOGIN; the one login is a
-- member and each connection pool names its role when it connects.
--
--   daybook_owner     owns tables; used by migrations only
--   daybook_log       owns log_append; alone may insert into the log
--   daybook_app       the API for one tenant: sees rows of app.tenant_id, fails closed
--   daybook_operator  the operator's calls: tenants and keys, no tenant's data
--   daybook_worker    projections and deliveries: the policies that name it, over tenants
--
-- A superuser may take on any role. Another login is made a member, which until Postgres 15
-- is enough to use a role and to take it on; from 16 on both are said in the grant, and who
-- made a role is its member without either. Where the login may not make roles, somebody
-- who may makes and grants them first.
do $$
declare
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    may_take_on constant text := case when modern then 'set' else 'member' end;
    options constant text := case when modern then ' with inherit true, set true' else '' end;
    name text;
begin
    foreach name in array array[
        'daybook_owner', 'daybook_log', 'daybook_app', 'daybook_operator', 'daybook_worker'
    ] loop
        begin
            if not exists (select from pg_roles where rolname = name) then
                execute format('create role %I nologin', name);
            end if;
        exception when duplicate_object or unique_violation then
            null;
        end;
        begin
            if not (pg_has_role(session_user, name, may_take_on)
                    and pg_has_role(session_user, name, 'usage')) then
                execute format('grant %I to %I', name, session_user) || options;
            end if;
        exception when unique_violation then
            null;
        end;
    end loop;
end $$;

create schema if not exists daybook authorization daybook_owner;
grant usage on schema daybook
    to daybook_log, daybook_app, daybook_operator, daybook_worker;
grant select on public.schema_migrations
    to daybook_app, daybook_operator, daybook_worker;

commit;


-- 0002 log ------------------------------------------------------------------------------

begin;

-- The log: one append-only table, one way in.
set local role daybook_owner;
set local search_path = daybook;

-- Every event of every tenant. Rows are inserted by log_append and never change.
--   log_position  1, 2, 3 ... over the log, no holes; internal, what checkpoints use
--   position      1, 2, 3 ... within the tenant, no holes; public
--   topic         what the event is to Daybook's own code; 'published' for the publish API,
--                 which cannot choose another
--   state         the event's JSON, the bytes as received
--   metadata      the same for its metadata
--   fingerprint   of what the publisher sent, when it named the id itself: tells a repeat
--                 from another event under the same id
create table events (
    tenant_id uuid not null,
    position bigint not null,
    log_position bigint not null,
    stream text not null,
    version bigint not null,
    event_id text not null,
    type text not null,
    topic text not null,
    source text,
    subject text,
    state bytea not null,
    metadata bytea,
    actor text,
    correlation_id text,
    causation_id text,
    depth smallint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    fingerprint bytea,
    primary key (tenant_id, position)
);
create unique index events_by_log_position on events (log_position);
create unique index events_by_stream on events (tenant_id, stream, version);
create unique index events_by_id on events (tenant_id, event_id);
create index events_by_type on events (tenant_id, type text_pattern_ops, position);
create index events_by_subject on events (tenant_id, subject, position)
    where subject is not null;

alter table events enable row level security;
alter table events force row level security;
create policy own_tenant on events for select to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy whole_log on events for select to daybook_worker using (true);
create policy append_reads on events for select to daybook_log using (true);
create policy append on events for insert to daybook_log with check (true);
grant select on events to daybook_app, daybook_worker, daybook_log;
grant insert on events to daybook_log;

-- What this log is: another incarnation means that positions may have gone back.
create table log_incarnation (
    singleton boolean primary key default true check (singleton),
    id uuid not null default gen_random_uuid()
);
insert into log_incarnation default values;
grant select on log_incarnation to daybook_app, daybook_worker, daybook_operator;

-- The one way in. Takes a group of rows; rows with the same request number stand or fall
-- together and follow each other. Decides request by request in the order given.
--
-- The first statement takes the log's lock; each later statement has a snapshot of its own,
-- taken with the lock held, so what it reads is what was committed last. The lock ends with
-- the transaction: when the caller, its connection or the server dies, nothing was written
-- and nothing stays locked. A refusal is an answer, not an error: it harms only its request
-- and uses up no position.
--
-- A row's answer: 'appended'; 'replayed' (same id, same content: the first answer again);
-- 'event_exists', 'version_conflict' (with what is there), 'causation_too_deep'; 'refused'
-- (another row of its request was).
create function log_append(
    tenants uuid[], requests int[], event_ids text[], streams text[], expected bigint[],
    types text[], topics text[], states bytea[], metadatas bytea[], sources text[],
    subjects text[], actors text[], correlations text[], causations text[],
    occurred timestamptz[], fingerprints bytea[]
) returns table (
    k int, answer text, log_position bigint, "position" bigint, stream text,
    version bigint, recorded_at timestamptz
)
language plpgsql security definer
set search_path = daybook, pg_temp
-- A generic plan guesses the arrays' sizes wrong; planning anew each time is twice as fast.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    n constant int := coalesce(cardinality(event_ids), 0);
    last_position bigint;
    stamp timestamptz;
    -- What the log says about each row, read in one statement.
    slots int[];         -- its stream within the group
    id_slots int[];      -- its event id within the group
    tenant_slots int[];  -- its tenant within the group
    heads bigint[];      -- its stream's version in the log
    tenant_heads bigint[];  -- its tenant's last position
    known bigint[];      -- position of the event in the log that has its id
    same boolean[];      -- that event has the row's fingerprint
    depths int[];        -- the chain of causes behind it; null: cause not in the log
    -- What is decided, moved as rows are accepted.
    stream_heads bigint[] := '{}';
    last_in_tenant bigint[] := '{}';
    holders int[] := '{}';  -- id slot -> the accepted row that has the id
    -- The answers; as long as the group from the start, so that unnest aligns them.
    answers text[] := array_fill(null::text, array[n]);
    versions bigint[] := array_fill(null::bigint, array[n]);
    twins int[] := array_fill(null::int, array[n]);  -- the row of this group it repeats
    log_positions bigint[] := array_fill(null::bigint, array[n]);
    positions bigint[] := array_fill(null::bigint, array[n]);
    i int := 1;
    names text[];  -- each row's tenant and id, once a cause is looked for
    cause int;
    first int;
    fine boolean;
begin
    perform pg_advisory_xact_lock(4919131752989213764);

    select e.log_position, e.recorded_at into last_position, stamp
    from events e order by e.log_position desc limit 1;
    last_position := coalesce(last_position, 0);
    stamp := greatest(clock_timestamp(), stamp);

    select array_agg(p.slot order by p.k), array_agg(p.id_slot order by p.k),
           array_agg(p.tenant_slot order by p.k), array_agg(p.head order by p.k),
           array_agg(p.known order by p.k), array_agg(p.same order by p.k),
           array_agg(p.depth order by p.k), array_agg(p.tenant_head order by p.k)
    into slots, id_slots, tenant_slots, heads, known, same, depths, tenant_heads
    from (
        select r.k,
            dense_rank() over (order by r.tenant_id, r.stream) as slot,
            dense_rank() over (order by r.tenant_id, r.event_id) as id_slot,
            dense_rank() over (order by r.tenant_id) as tenant_slot,
            coalesce((
                select e.version from events e
                where e.tenant_id = r.tenant_id and e.stream = r.stream
                order by e.version desc limit 1), 0) as head,
            coalesce((
                select e.position from events e where e.tenant_id = r.tenant_id
                order by e.position desc limit 1), 0) as tenant_head,
            d.position as known,
            d.fingerprint is not distinct from r.fingerprint as same,
            case when r.causation_id is null then 0 else (
                select e.depth + 1 from events e
                where e.tenant_id = r.tenant_id and e.event_id = r.causation_id)
            end as depth
        from unnest(tenants, event_ids, streams, causations, fingerprints)
            with ordinality
            as r (tenant_id, event_id, stream, causation_id, fingerprint, k)
        left join lateral (
            select e.position, e.fingerprint from events e
            where e.tenant_id = r.tenant_id and e.event_id = r.event_id
            limit 1) d on true
    ) p;

    for j in 1 .. n loop
        stream_heads[slots[j]] := heads[j];
        last_in_tenant[tenant_slots[j]] := tenant_heads[j];
    end loop;

    while i <= n loop
        first := i;
        fine := true;
        while i <= n and requests[i] = requests[first] loop
            if depths[i] is null then  -- the cause is in this group, or nowhere
                if names is null then
                    select array_agg(r.tenant_id || ' ' || r.event_id order by r.k)
                    into names
                    from unnest(tenants, event_ids)
                        with ordinality as r (tenant_id, event_id, k);
                end if;
                cause := array_position(names, tenants[i] || ' ' || causations[i]);
                depths[i] := coalesce(depths[holders[id_slots[cause]]] + 1, 0);
            end if;
            if known[i] is not null then
                answers[i] := case when same[i] then 'replayed' else 'event_exists' end;
            elsif holders[id_slots[i]] is not null then
                twins[i] := holders[id_slots[i]];
                answers[i] := case
                    when fingerprints[i] is not distinct from fingerprints[twins[i]]
                    then 'replayed' else 'event_exists' end;
            elsif depths[i] > 10 then
                answers[i] := 'causation_too_deep';
            elsif expected[i] <> stream_heads[slots[i]] then
                answers[i] := 'version_conflict';
                versions[i] := stream_heads[slots[i]];
            else
                answers[i] := 'appended';
                versions[i] := stream_heads[slots[i]] + 1;
                stream_heads[slots[i]] := versions[i];
                holders[id_slots[i]] := i;
            end if;
            fine := fine and answers[i] in ('appended', 'replayed');
            i := i + 1;
        end loop;
        for j in first .. i - 1 loop
            if answers[j] = 'appended' and fine then
                last_position := last_position + 1;
                log_positions[j] := last_position;
                last_in_tenant[tenant_slots[j]] := last_in_tenant[tenant_slots[j]] + 1;
                positions[j] := last_in_tenant[tenant_slots[j]];
            elsif answers[j] = 'appended' then
                stream_heads[slots[j]] := stream_heads[slots[j]] - 1;
                holders[id_slots[j]] := null;
                answers[j] := 'refused';
            elsif log_positions[twins[j]] is not null then
                log_positions[j] := log_positions[twins[j]];
                positions[j] := positions[twins[j]];
                streams[j] := streams[twins[j]];
                versions[j] := versions[twins[j]];
            elsif twins[j] is not null and answers[j] = 'replayed' then
                answers[j] := 'refused';
            end if;
        end loop;
    end loop;

    insert into events (
        tenant_id, position, log_position, stream, version, event_id, type, topic, source,
        subject, state, metadata, actor, correlation_id, causation_id, depth, occurred_at,
        recorded_at, fingerprint)
    select r.tenant_id, r.position, r.log_position, r.stream, r.version, r.event_id, r.type,
        r.topic, r.source, r.subject, r.state, r.metadata, r.actor, r.correlation_id,
        r.causation_id, r.depth, coalesce(r.occurred_at, stamp), stamp, r.fingerprint
    from unnest(
        answers, tenants, positions, log_positions, streams, versions, event_ids, types,
        topics, sources, subjects, states, metadatas, actors, correlations, causations,
        depths, occurred, fingerprints)
        as r (answer, tenant_id, position, log_position, stream, version, event_id, type,
              topic, source, subject, state, metadata, actor, correlation_id, causation_id,
              depth, occurred_at, fingerprint)
    where r.answer = 'appended';

    return query
    select r.k::int, r.answer, coalesce(r.log_position, e.log_position),
        coalesce(r.position, e.position), coalesce(e.stream, r.stream),
        coalesce(r.version, e.version), coalesce(e.recorded_at, stamp)
    from unnest(answers, log_positions, positions, streams, versions, tenants, known)
        with ordinality
        as r (answer, log_position, position, stream, version, tenant_id, known, k)
    left join events e on e.tenant_id = r.tenant_id and e.position = r.known
    order by r.k;
end $$;

-- Whether the events of a group are in the log, asked under its lock. After a lost
-- connection a plain look-up can answer "absent" for an event whose append still waits for
-- the lock and commits a moment later; waiting in the same queue cannot.
create function log_find(tenants uuid[], event_ids text[])
returns table (
    k int, log_position bigint, "position" bigint, stream text, version bigint,
    recorded_at timestamptz
)
language plpgsql security definer
set search_path = daybook, pg_temp
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock(4919131752989213764);
    return query
    select r.k::int, e.log_position, e.position, e.stream, e.version, e.recorded_at
    from unnest(tenants, event_ids) with ordinality as r (tenant_id, event_id, k)
    join events e on e.tenant_id = r.tenant_id and e.event_id = r.event_id
    order by r.k;
end $$;

-- Ends the transaction with a code of ours when what it relied on does not hold. In a
-- pipeline the client learns it after sending, so the check stands in the statements.
create function require(holds boolean, code text, detail text) returns void
language plpgsql as $$
begin
    if holds is not true then
        raise exception using errcode = 'DB001', message = code, detail = detail;
    end if;
end $$;

reset role;
grant create on schema daybook to daybook_log;  -- for the next two statements only
alter function daybook.log_append owner to daybook_log;
alter function daybook.log_find owner to daybook_log;
revoke create on schema daybook from daybook_log;
revoke all on function daybook.log_append, daybook.log_find from public;
grant execute on function daybook.log_append, daybook.log_find
    to daybook_app, daybook_operator, daybook_worker;

commit;


-- 0003 tenancy --------------------------------------------------------------------------

begin;

-- Tenants and their keys: models written in the transaction of the event that changes them.
set local role daybook_owner;
set local search_path = daybook;

create table tenants (
    tenant_id uuid primary key,
    external_id text unique,
    name text not null,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- digest is SHA-256 of the key: it has 256 random bits, so a slow hash would add nothing.
create table api_keys (
    tenant_id uuid not null,
    key_id uuid not null,
    name text not null,
    hint text not null,
    digest bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    primary key (tenant_id, key_id)
);

alter table tenants enable row level security;
alter table tenants force row level security;
alter table api_keys enable row level security;
alter table api_keys force row level security;
create policy own_tenant on tenants to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy own_tenant on api_keys to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on tenants to daybook_operator using (true) with check (true);
create policy all_tenants on api_keys to daybook_operator using (true) with check (true);
create policy names on tenants for select to daybook_worker using (true);
grant select on tenants to daybook_app, daybook_worker;
grant select, insert, update on tenants to daybook_operator;
grant select, insert, update on api_keys to daybook_app, daybook_operator;

-- Whose key this is. Before the answer there is no tenant, so it looks over all of them,
-- and therefore gives nothing but what the key itself stands for.
create function authenticate(key_digest bytea)
returns table (tenant_id uuid, key_id uuid, scopes text[], expires_at timestamptz)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select k.tenant_id, k.key_id, k.scopes, k.expires_at
    from api_keys k
    where k.digest = key_digest and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > clock_timestamp())
$$;

reset role;
grant create on schema daybook to daybook_operator;  -- for the next statement only
alter function daybook.authenticate owner to daybook_operator;
revoke create on schema daybook from daybook_operator;
revoke all on function daybook.authenticate from public;
grant execute on function daybook.authenticate to daybook_app;

commit;


-- 0004 webhooks -------------------------------------------------------------------------

begin;

-- Webhooks and event types: models written in the transaction of the event that changes
-- them, and the ranges that say which configuration was in force at which position.
set local role daybook_owner;
set local search_path = daybook;

-- A webhook as it is now. number: 1, 2, 3 ... within the tenant, part of delivery ids.
create table webhooks (
    tenant_id uuid not null,
    webhook_id uuid not null,
    number int not null,
    url text not null,
    name text,
    description text,
    event_types text[] not null,
    retry text not null,
    timeout_seconds int not null,
    max_in_flight int not null,
    metadata jsonb not null,
    state text not null check (state in ('active', 'disabled', 'deleted')),
    disabled_at timestamptz,
    disabled_reason text,
    disabled_position bigint,
    version int not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, webhook_id)
);
create unique index webhooks_by_number on webhooks (tenant_id, number);

-- The secrets webhooks sign with, sealed (AES-256-GCM); key_id names the key that opens it.
-- Never in the log. A new version is a new row: each attempt names the one it used.
create table webhook_secrets (
    tenant_id uuid not null,
    webhook_id uuid not null,
    version int not null,
    key_id text not null,
    sealed bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, webhook_id, version)
);

-- Configuration in force: pattern p of a webhook matches the events at positions
-- from_position .. to_position, both inclusive, and no others. A change at position c ends
-- the ranges at c and begins new ones at c + 1, in the transaction that appends it; so what
-- is owed is a function of the log alone, whenever the handoff runs.
-- own_stream is the webhook's stream: an event about a webhook is never owed to it.
create table webhook_ranges (
    tenant_id uuid not null,
    pattern text not null,
    to_position bigint not null,
    from_position bigint not null,
    webhook_id uuid not null,
    version int not null,
    own_stream text not null,
    primary key (tenant_id, pattern, to_position, webhook_id, version)
);
create index webhook_ranges_open on webhook_ranges (tenant_id, webhook_id)
    where to_position = 9223372036854775807;

-- An event type somebody declared.
create table event_types (
    tenant_id uuid not null,
    type text not null,
    description text,
    example jsonb,
    deprecated boolean not null,
    version int not null,
    updated_at timestamptz not null,
    primary key (tenant_id, type)
);

do $$
declare
    name text;
begin
    foreach name in array array[
        'webhooks', 'webhook_secrets', 'webhook_ranges', 'event_types'
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
grant select, insert, update on webhooks, webhook_secrets, event_types to daybook_app;
grant select, insert, update, delete on webhook_ranges to daybook_app;
grant select, update on webhooks to daybook_worker;
grant select on webhook_secrets, event_types to daybook_worker;
grant select, insert, update, delete on webhook_ranges to daybook_worker;

commit;


-- 0005 deliveries -----------------------------------------------------------------------

begin;

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

commit;


-- 0006 reads ----------------------------------------------------------------------------

begin;

-- What the API reads beyond single rows: deliveries, indexes, figures for /health.
set local role daybook_owner;
set local search_path = daybook;

-- A delivery is in owed or, finished, in results; here it is one thing with one state (see
-- the comment on owed). What a deleted webhook was owed is cancelled, whether or not a
-- worker has come by to say so. Read it by tenant and a range of positions: both halves
-- then are index scans. Row-level security is that of who asks.
create view deliveries with (security_invoker = true) as
select o.tenant_id, o.position, w.number, o.webhook_id, o.replay, o.webhook_version,
    o.sequence,
    case
        when w.state = 'deleted' then 'cancelled'
        when o.next_attempt_at is not null then 'retrying'
        when o.attempts > 0 or o.position <= l.sent_through then 'sending'
        else 'pending'
    end as state,
    o.attempts, o.status_code, o.error,
    case when w.state <> 'deleted' then o.next_attempt_at end as next_attempt_at,
    case when w.state = 'deleted' then w.updated_at end as finished_at,
    w.state as webhook_state, e.event_id, e.type, e.stream, e.recorded_at
from owed o
join webhooks w using (tenant_id, webhook_id)
join events e using (tenant_id, position)
left join lanes l using (tenant_id, webhook_id, replay)
union all
select r.tenant_id, r.position, w.number, r.webhook_id, r.replay, r.webhook_version,
    r.sequence, r.state, r.attempts, r.status_code, r.error, null, r.finished_at,
    w.state, e.event_id, e.type, e.stream, e.recorded_at
from results r
join webhooks w using (tenant_id, webhook_id)
join events e using (tenant_id, position);
grant select on deliveries to daybook_app;

-- Nearly every delivery succeeds, and people look for the others. Partial, so that one
-- that succeeds costs nothing here.
create index results_unsuccessful on results (tenant_id, position)
    where state <> 'succeeded';

-- The operator ends a key by its id alone.
create unique index api_keys_by_id on api_keys (key_id);

-- How far behind a reader at this position is, and since when: figures without content.
create function log_lag(after bigint)
returns table (events bigint, waiting_since timestamptz)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select coalesce((
            select log_position from events order by log_position desc limit 1), 0) - after,
        (select recorded_at from events where log_position = after + 1)
$$;

reset role;
grant create on schema daybook to daybook_log;  -- for the next statement only
alter function daybook.log_lag owner to daybook_log;
revoke create on schema daybook from daybook_log;
revoke all on function daybook.log_lag from public;
grant execute on function daybook.log_lag to daybook_operator;

commit;


-- 0007 projections ----------------------------------------------------------------------

begin;

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

commit;


-- 0008 tracking -------------------------------------------------------------------------

begin;

-- Marks of the `eventsourcing` library's own readers: how far each has come.
set local role daybook_owner;
set local search_path = daybook;

-- For applications and projections that are run by the library and not by Daybook's runner,
-- which keeps `checkpoints`. name is the reader's: two that follow the same application
-- must not move each other's mark.
create table tracking (
    name text not null,
    application_name text not null,
    notification_id bigint not null,
    primary key (name, application_name)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 0);
alter table tracking enable row level security;
alter table tracking force row level security;
create policy platform on tracking to daybook_worker using (true) with check (true);
grant select, insert, update on tracking to daybook_worker;

commit;


-- 0009 backup ---------------------------------------------------------------------------

begin;

-- Who makes backups: a role that reads every row and changes none.
--
-- A walled table shows pg_dump what its policies show, and one that shows nothing is dumped
-- as an empty one, without an error. So every table says that this role sees all of it, and
-- every partition too: pg_dump reads them one by one, where their parents' policies do not
-- hold. `daybook backup` refuses to begin while a table does not say so.
do $$
declare
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    may_take_on constant text := case when modern then 'set' else 'member' end;
    options constant text := case when modern then ' with inherit true, set true' else '' end;
begin
    begin
        if not exists (select from pg_roles where rolname = 'daybook_backup') then
            create role daybook_backup nologin;
        end if;
    exception when duplicate_object or unique_violation then
        null;
    end;
    begin
        if not (pg_has_role(session_user, 'daybook_backup', may_take_on)
                and pg_has_role(session_user, 'daybook_backup', 'usage')) then
            execute format('grant daybook_backup to %I', session_user) || options;
        end if;
    exception when unique_violation then
        null;
    end;
end $$;
grant select on public.schema_migrations to daybook_backup;

set local role daybook_owner;
set local search_path = daybook;
grant usage on schema daybook to daybook_backup;

do $$
declare
    found record;
begin
    for found in
        select relname, relrowsecurity from pg_class
        where relnamespace = 'daybook'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('grant select on %I to daybook_backup', found.relname);
        if found.relrowsecurity then
            execute format('create policy backup on %I for select to daybook_backup
                using (true)', found.relname);
        end if;
    end loop;
end $$;
grant select on all sequences in schema daybook to daybook_backup;

-- As before; and partitions to come are read by backups as well.
create or replace function make_partitions() returns void
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
                execute format('grant select on %I to daybook_backup', part);
                execute format('create policy backup on %I for select
                    to daybook_backup using (true)', part);
            end if;
        end loop;
    end loop;
end $$;

-- How many rows each table has, each partition by itself; of those that who asks may see.
create function row_counts() returns table (name text, rows bigint)
language plpgsql stable
set search_path = daybook, pg_temp
as $$
begin
    for name in
        select relname from pg_class
        where relnamespace = 'daybook'::regnamespace and relkind = 'r'
        order by relname collate "C"
    loop
        execute format('select count(*) from %I', name) into rows;
        return next;
    end loop;
end $$;
revoke all on function row_counts from public;
grant execute on function row_counts to daybook_backup;

commit;


-- 0010 more_reads -----------------------------------------------------------------------

begin;

-- What is read beside: lists of streams, and by workers how far projections are.
set local role daybook_owner;
set local search_path = daybook;

-- In the order of bytes, so that a prefix is a range of the key, whatever order the
-- database's language has.
alter table stream_heads alter column stream type text collate "C";

-- The log position up to which a projection has come. What is beyond it, a reader that
-- wants no lag takes from the log.
create function posted_through(projection text) returns bigint
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select log_position from checkpoints where name = projection
$$;
reset role;
grant create on schema daybook to daybook_operator;  -- for the next statement only
alter function daybook.posted_through owner to daybook_operator;
revoke create on schema daybook from daybook_operator;
revoke all on function daybook.posted_through from public;
grant execute on function daybook.posted_through to daybook_app;

-- For a worker's metrics, and for `daybook doctor`, which looks as a worker does.
grant execute on function daybook.log_lag to daybook_worker;

commit;


-- 0011 webhook_settings -----------------------------------------------------------------

begin;

-- What more a webhook can be set to: which streams and payloads, in which form, signed how,
-- how fast, in which order, and what follows from failure.
set local role daybook_owner;
set local search_path = daybook;

-- header_names: the headers' values are secrets and stand in webhook_headers. networks: null,
-- or the blocks in one of which every address of the host must lie.
alter table webhooks
    add column streams text[] not null default '{*}',
    add column filter jsonb,
    add column header_names text[] not null default '{}',
    add column headers_version int not null default 0,
    add column format text not null default 'standard'
        check (format in ('standard', 'raw', 'cloudevents', 'cloudevents_binary')),
    add column signing text[] not null default '{v1}',
    add column rate_per_second double precision,
    add column ordering text not null default 'none' check (ordering in ('none', 'stream')),
    add column on_dead text not null default 'continue'
        check (on_dead in ('continue', 'hold')),
    add column disable_failures int not null default 10,
    add column disable_over_seconds int not null default 86400,
    add column keep_response boolean not null default false,
    add column networks text[],
    -- A preset's name, or {delays, jitter, max_age_seconds}.
    alter column retry type jsonb using to_jsonb(retry);

-- v1: the key of an HMAC. v1a: the seed of an Ed25519 key, with its public half beside it.
-- expires_at: null while the secret is the current one; set when the next one comes, and
-- until then both sign.
alter table webhook_secrets
    add column scheme text not null default 'v1' check (scheme in ('v1', 'v1a')),
    add column expires_at timestamptz,
    add column public_key text,
    drop constraint webhook_secrets_pkey,
    add primary key (tenant_id, webhook_id, version, scheme);

-- The values of a webhook's headers: a JSON object, name to value, sealed. version is the
-- webhook's at which they were set: its headers_version.
create table webhook_headers (
    tenant_id uuid not null,
    webhook_id uuid not null,
    version int not null,
    key_id text not null,
    sealed bytea not null,
    primary key (tenant_id, webhook_id, version)
);

-- What belongs to one version of a webhook for ever: by which streams and payloads it chose
-- its events beside their types, and in which form those are sent. `webhook_ranges` and
-- `owed` name the version, so an event is matched and rendered by the configuration in
-- force at its own position, however late or often that is done. Versions that changed no
-- settings (enabled, disabled) have no row; no range names them.
create table webhook_versions (
    tenant_id uuid not null,
    webhook_id uuid not null,
    version int not null,
    streams text[] not null,
    filter jsonb,
    format text not null,
    primary key (tenant_id, webhook_id, version)
);

do $$
declare
    name text;
begin
    foreach name in array array['webhook_headers', 'webhook_versions'] loop
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
        execute format('create policy backup on %I for select to daybook_backup
            using (true)', name);
        execute format('grant select on %I to daybook_backup', name);
    end loop;
end $$;
grant select, insert on webhook_headers, webhook_versions to daybook_app;
grant select, insert on webhook_versions to daybook_worker;
-- update: when DAYBOOK_SECRET_KEYS gets another first key, workers seal anew.
grant select, update on webhook_headers to daybook_worker;
grant update on webhook_secrets to daybook_worker;

-- Every version that a range names; the owner of a walled table sees nothing in it.
set local role daybook_worker;
insert into webhook_versions (tenant_id, webhook_id, version, streams, format)
select distinct tenant_id, webhook_id, version, '{*}'::text[], 'standard'
from webhook_ranges;

commit;


-- 0012 sources --------------------------------------------------------------------------

begin;

-- What an event is known by to who sent it, and what it was checked against.
set local role daybook_owner;
set local search_path = daybook;

-- source_id: the id of a CloudEvent that came in, unique with its source. Making the index
-- takes one pass over the log, for which appends wait: about 1 s a million events.
alter table events add column source_id text;
create unique index events_by_source on events (tenant_id, source, source_id)
    where source_id is not null;

-- Where a tenant's catalogue was changed last: the position of the event that did it. What
-- publishers send is checked before it waits for the log; log_append compares.
create table catalogue_heads (
    tenant_id uuid primary key,
    position bigint not null
);
alter table catalogue_heads enable row level security;
alter table catalogue_heads force row level security;
create policy own_tenant on catalogue_heads to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy append_reads on catalogue_heads for select to daybook_log using (true);
create policy all_tenants on catalogue_heads to daybook_worker
    using (true) with check (true);
create policy backup on catalogue_heads for select to daybook_backup using (true);
grant select, insert, update on catalogue_heads to daybook_app;
grant select on catalogue_heads to daybook_log, daybook_worker, daybook_backup;

-- Another list of parameters is another function: nothing calls the first one any more.
drop function log_append;

-- The one way in. Takes a group of rows; rows with the same request number stand or fall
-- together and follow each other. Decides request by request in the order given.
--
-- The first statement takes the log's lock; each later statement has a snapshot of its own,
-- taken with the lock held, so what it reads is what was committed last. The lock ends with
-- the transaction: when the caller, its connection or the server dies, nothing was written
-- and nothing stays locked. A refusal is an answer, not an error: it harms only its request
-- and uses up no position.
--
-- A row with a source_id is known by source and source_id, any other by its event id.
-- `checked` is the head of the tenant's catalogue that a row was checked against, or null.
-- A command that changes the catalogue holds the log's lock until it has committed, so
-- whoever reads the head here has it: no row is stored that breaks a schema in force.
--
-- A row's answer: 'appended'; 'replayed' (same id, same content: the first answer again);
-- 'event_exists', 'version_conflict' (with what is there), 'causation_too_deep'; 'outdated'
-- (the catalogue has changed since the row was checked: check it again); 'refused' (another
-- row of its request was).
create function log_append(
    tenants uuid[], requests int[], event_ids text[], streams text[], expected bigint[],
    types text[], topics text[], states bytea[], metadatas bytea[], sources text[],
    subjects text[], actors text[], correlations text[], causations text[],
    occurred timestamptz[], fingerprints bytea[], source_ids text[], checked bigint[]
) returns table (
    k int, answer text, log_position bigint, "position" bigint, stream text,
    version bigint, recorded_at timestamptz, event_id text
)
language plpgsql security definer
set search_path = daybook, pg_temp
-- A generic plan guesses the arrays' sizes wrong; planning anew each time is twice as fast.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    n constant int := coalesce(cardinality(event_ids), 0);
    last_position bigint;
    stamp timestamptz;
    -- What the log says about each row, read in one statement.
    slots int[];         -- its stream within the group
    id_slots int[];      -- what it is known by, within the group
    tenant_slots int[];  -- its tenant within the group
    heads bigint[];      -- its stream's version in the log
    tenant_heads bigint[];  -- its tenant's last position
    known bigint[];      -- position of the event in the log that is known by the same
    same boolean[];      -- that event has the row's fingerprint
    depths int[];        -- the chain of causes behind it; null: cause not in the log
    outdated boolean[];  -- the catalogue has changed since it was checked
    -- What is decided, moved as rows are accepted.
    stream_heads bigint[] := '{}';
    last_in_tenant bigint[] := '{}';
    holders int[] := '{}';  -- id slot -> the accepted row that is known by the same
    -- The answers; as long as the group from the start, so that unnest aligns them.
    answers text[] := array_fill(null::text, array[n]);
    versions bigint[] := array_fill(null::bigint, array[n]);
    twins int[] := array_fill(null::int, array[n]);  -- the row of this group it repeats
    log_positions bigint[] := array_fill(null::bigint, array[n]);
    positions bigint[] := array_fill(null::bigint, array[n]);
    i int := 1;
    names text[];  -- each row's tenant and id, once a cause is looked for
    cause int;
    first int;
    fine boolean;
begin
    perform pg_advisory_xact_lock(4919131752989213764);

    select e.log_position, e.recorded_at into last_position, stamp
    from events e order by e.log_position desc limit 1;
    last_position := coalesce(last_position, 0);
    stamp := greatest(clock_timestamp(), stamp);

    select array_agg(p.slot order by p.k), array_agg(p.id_slot order by p.k),
           array_agg(p.tenant_slot order by p.k), array_agg(p.head order by p.k),
           array_agg(p.known order by p.k), array_agg(p.same order by p.k),
           array_agg(p.depth order by p.k), array_agg(p.outdated order by p.k),
           array_agg(p.tenant_head order by p.k)
    into slots, id_slots, tenant_slots, heads, known, same, depths, outdated, tenant_heads
    from (
        select r.k,
            dense_rank() over (order by r.tenant_id, r.stream) as slot,
            dense_rank() over (order by r.tenant_id, r.event_id) as id_slot,
            dense_rank() over (order by r.tenant_id) as tenant_slot,
            coalesce((
                select e.version from events e
                where e.tenant_id = r.tenant_id and e.stream = r.stream
                order by e.version desc limit 1), 0) as head,
            coalesce((
                select e.position from events e where e.tenant_id = r.tenant_id
                order by e.position desc limit 1), 0) as tenant_head,
            d.position as known,
            d.fingerprint is not distinct from r.fingerprint as same,
            case when r.causation_id is null then 0 else (
                select e.depth + 1 from events e
                where e.tenant_id = r.tenant_id and e.event_id = r.causation_id)
            end as depth,
            coalesce((
                select c.position from catalogue_heads c
                where c.tenant_id = r.tenant_id) > r.checked, false) as outdated
        from unnest(tenants, event_ids, streams, causations, fingerprints, checked)
            with ordinality
            as r (tenant_id, event_id, stream, causation_id, fingerprint, checked, k)
        left join lateral (
            select e.position, e.fingerprint from events e
            where e.tenant_id = r.tenant_id and e.event_id = r.event_id
            limit 1) d on true
    ) p;

    -- Few groups have such rows, and those that have none need not pay for them. No source
    -- has a space in it, and no event id: what is made of both is never another's.
    if array_remove(source_ids, null) <> '{}' then
        select array_agg(p.id_slot order by p.k), array_agg(p.known order by p.k),
               array_agg(p.same order by p.k)
        into id_slots, known, same
        from (
            select r.k,
                dense_rank() over (order by r.tenant_id,
                    coalesce(r.source || ' ' || r.source_id, r.event_id)) as id_slot,
                coalesce(r.known, d.position) as known,
                case when r.known is null
                    then d.fingerprint is not distinct from r.fingerprint
                    else r.same end as same
            from unnest(
                tenants, event_ids, sources, source_ids, fingerprints, known, same)
                with ordinality
                as r (tenant_id, event_id, source, source_id, fingerprint, known, same, k)
            left join lateral (
                select e.position, e.fingerprint from events e
                where e.tenant_id = r.tenant_id and e.source = r.source
                    and e.source_id = r.source_id
                limit 1) d on true
        ) p;
    end if;

    for j in 1 .. n loop
        stream_heads[slots[j]] := heads[j];
        last_in_tenant[tenant_slots[j]] := tenant_heads[j];
    end loop;

    while i <= n loop
        first := i;
        fine := true;
        while i <= n and requests[i] = requests[first] loop
            if depths[i] is null then  -- the cause is in this group, or nowhere
                if names is null then
                    select array_agg(r.tenant_id || ' ' || r.event_id order by r.k)
                    into names
                    from unnest(tenants, event_ids)
                        with ordinality as r (tenant_id, event_id, k);
                end if;
                cause := array_position(names, tenants[i] || ' ' || causations[i]);
                depths[i] := coalesce(depths[holders[id_slots[cause]]] + 1, 0);
            end if;
            if known[i] is not null then
                answers[i] := case when same[i] then 'replayed' else 'event_exists' end;
            elsif holders[id_slots[i]] is not null then
                twins[i] := holders[id_slots[i]];
                answers[i] := case
                    when fingerprints[i] is not distinct from fingerprints[twins[i]]
                    then 'replayed' else 'event_exists' end;
            elsif outdated[i] then
                answers[i] := 'outdated';
            elsif depths[i] > 10 then
                answers[i] := 'causation_too_deep';
            elsif expected[i] <> stream_heads[slots[i]] then
                answers[i] := 'version_conflict';
                versions[i] := stream_heads[slots[i]];
            else
                answers[i] := 'appended';
                versions[i] := stream_heads[slots[i]] + 1;
                stream_heads[slots[i]] := versions[i];
                holders[id_slots[i]] := i;
            end if;
            fine := fine and answers[i] in ('appended', 'replayed');
            i := i + 1;
        end loop;
        for j in first .. i - 1 loop
            if answers[j] = 'appended' and fine then
                last_position := last_position + 1;
                log_positions[j] := last_position;
                last_in_tenant[tenant_slots[j]] := last_in_tenant[tenant_slots[j]] + 1;
                positions[j] := last_in_tenant[tenant_slots[j]];
            elsif answers[j] = 'appended' then
                stream_heads[slots[j]] := stream_heads[slots[j]] - 1;
                holders[id_slots[j]] := null;
                answers[j] := 'refused';
            elsif log_positions[twins[j]] is not null then
                log_positions[j] := log_positions[twins[j]];
                positions[j] := positions[twins[j]];
                event_ids[j] := event_ids[twins[j]];
                streams[j] := streams[twins[j]];
                versions[j] := versions[twins[j]];
            elsif twins[j] is not null and answers[j] = 'replayed' then
                answers[j] := 'refused';
            end if;
        end loop;
    end loop;

    insert into events (
        tenant_id, position, log_position, stream, version, event_id, type, topic, source,
        source_id, subject, state, metadata, actor, correlation_id, causation_id, depth,
        occurred_at, recorded_at, fingerprint)
    select r.tenant_id, r.position, r.log_position, r.stream, r.version, r.event_id, r.type,
        r.topic, r.source, r.source_id, r.subject, r.state, r.metadata, r.actor,
        r.correlation_id, r.causation_id, r.depth, coalesce(r.occurred_at, stamp), stamp,
        r.fingerprint
    from unnest(
        answers, tenants, positions, log_positions, streams, versions, event_ids, types,
        topics, sources, source_ids, subjects, states, metadatas, actors, correlations,
        causations, depths, occurred, fingerprints)
        as r (answer, tenant_id, position, log_position, stream, version, event_id, type,
              topic, source, source_id, subject, state, metadata, actor, correlation_id,
              causation_id, depth, occurred_at, fingerprint)
    where r.answer = 'appended';

    return query
    select r.k::int, r.answer, coalesce(r.log_position, e.log_position),
        coalesce(r.position, e.position), coalesce(e.stream, r.stream),
        coalesce(r.version, e.version), coalesce(e.recorded_at, stamp),
        coalesce(e.event_id, r.event_id)
    from unnest(
        answers, log_positions, positions, streams, versions, tenants, known, event_ids)
        with ordinality
        as r (answer, log_position, position, stream, version, tenant_id, known, event_id,
              k)
    left join events e on e.tenant_id = r.tenant_id and e.position = r.known
    order by r.k;
end $$;

reset role;
grant create on schema daybook to daybook_log;  -- for the next statement only
alter function daybook.log_append owner to daybook_log;
revoke create on schema daybook from daybook_log;
revoke all on function daybook.log_append from public;
grant execute on function daybook.log_append
    to daybook_app, daybook_operator, daybook_worker;

commit;


-- 0013 tenant_life ----------------------------------------------------------------------

begin;

-- Tenants are configured, suspended and ended; keys are rotated, and some act for tenants.
set local role daybook_owner;
set local search_path = daybook;

-- state: the keys of a tenant that is not active may do nothing, and nothing it is owed is
-- attempted; offboarded is for good. limits: what it may have beyond every tenant's; a name
-- that is missing is as everybody's.
alter table tenants
    add column state text not null default 'active'
        check (state in ('active', 'suspended', 'offboarded')),
    add column suspended_at timestamptz,
    add column suspended_reason text,
    add column strict_types boolean not null default false,
    add column retention_days int,
    add column limits jsonb not null default '{}';

-- The key that was rotated last works on until then. Keys of the nil tenant are platform
-- keys: they act for the tenant that each request names.
alter table api_keys
    add column previous_digest bytea unique,
    add column previous_expires_at timestamptz;

-- Whether what a tenant is owed may be attempted. Without its own search path, so that the
-- planner can put it into the statements that ask.
create function tenant_is_active(tenant uuid) returns boolean
language sql stable
as $$
    select coalesce((
        select t.state = 'active' from daybook.tenants t where t.tenant_id = tenant), true)
$$;

-- Tells whoever sends for a tenant to look at its lanes again. The operator may say that,
-- and needs to see no lane for it.
create function poke_tenant(tenant uuid) returns void
language sql security definer
set search_path = daybook, pg_temp
as $$
    insert into pokes (tenant_id, webhook_id)
    select distinct tenant_id, webhook_id from lanes where tenant_id = tenant
$$;

-- Whose key this is, and for which tenant it asks: its own, whatever is named; a platform
-- key's is the one that is named, by its id or else by the operator's name for it. Over all
-- tenants, as there is none yet; so it answers nobody who has no key, and of tenants only
-- that one. (authenticate(bytea) stays for processes of the version before.)
create function authenticate(key_digest bytea, named_id uuid, named text)
returns table (
    key_id uuid, scopes text[], expires_at timestamptz, is_platform boolean,
    tenant_id uuid, external_id text, state text, strict_types boolean, limits jsonb
)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    with found as (
        select k.tenant_id, k.key_id, k.scopes, k.expires_at
        from api_keys k
        where k.digest = key_digest and k.revoked_at is null
        union all
        select k.tenant_id, k.key_id, k.scopes, k.previous_expires_at
        from api_keys k
        where k.previous_digest = key_digest and k.revoked_at is null
            and k.previous_expires_at is not null
    )
    select f.key_id, f.scopes, f.expires_at, p.is_platform, t.tenant_id, t.external_id,
        t.state, t.strict_types, t.limits
    from found f
    cross join lateral (
        select f.tenant_id = '00000000-0000-0000-0000-000000000000' as is_platform) p
    left join lateral (
        select * from tenants a
        where a.tenant_id = case when p.is_platform then named_id else f.tenant_id end
        union all
        select * from tenants a
        where p.is_platform and named_id is null and a.external_id = named) t on true
    where f.expires_at is null or f.expires_at > clock_timestamp()
$$;

reset role;
grant create on schema daybook to daybook_operator, daybook_worker;  -- for the next two
alter function daybook.authenticate(bytea, uuid, text) owner to daybook_operator;
alter function daybook.poke_tenant owner to daybook_worker;
revoke create on schema daybook from daybook_operator, daybook_worker;
revoke all on function daybook.authenticate(bytea, uuid, text), daybook.poke_tenant
    from public;
grant execute on function daybook.authenticate(bytea, uuid, text) to daybook_app;
grant execute on function daybook.poke_tenant to daybook_operator;

commit;


-- 0014 engine ---------------------------------------------------------------------------

begin;

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

commit;


-- 0015 listening ------------------------------------------------------------------------

begin;

-- Streams for integrators: where tenants' logs end, consumers and their places, tickets.
set local role daybook_owner;
set local search_path = daybook;

-- Where the logs of these tenants end: one look for a process that has listeners of many.
-- Figures without content.
create function log_heads(tenants uuid[])
returns table (tenant_id uuid, head bigint)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select t.tenant_id, coalesce((
        select e.position from events e where e.tenant_id = t.tenant_id
        order by e.position desc limit 1), 0)
    from unnest(tenants) as t (tenant_id)
$$;

-- A consumer as it is configured; made of events. created_position: of its first one, which
-- puts consumers in order. filter: as it was sent, so json and not jsonb.
create table consumers (
    tenant_id uuid not null,
    name text collate "C" not null,
    event_types text[] not null,
    streams text[] not null,
    filter json,
    start json not null,
    created_position bigint not null,
    version int not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, name)
);
create unique index consumers_in_order on consumers (tenant_id, created_position);

-- How far each has acknowledged. Begun and moved by events, but acknowledgements are only
-- here: each would move the log it follows. So this is a record, never made again.
create table consumer_positions (
    tenant_id uuid not null,
    name text collate "C" not null,
    position bigint not null,
    moved_at timestamptz not null,
    primary key (tenant_id, name)
);
-- The same row again and again: room for the next version on the same page.
alter table consumer_positions set (fillfactor = 50);

-- Tickets that stand for a key, once, in a URL. digest is SHA-256 of the ticket, which has
-- 256 random bits; key_digest that of the key, as in api_keys.
create table tickets (
    tenant_id uuid not null,
    digest bytea not null unique,
    key_digest bytea not null,
    expires_at timestamptz not null,
    primary key (tenant_id, digest)
);

do $$
declare
    name text;
begin
    foreach name in array array['consumers', 'consumer_positions', 'tickets'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy own_tenant on %I to daybook_app
                using (tenant_id = (select current_setting(''app.tenant_id'')::uuid))
                with check (tenant_id = (select current_setting(''app.tenant_id'')::uuid))',
            name);
        execute format('create policy backup on %I for select to daybook_backup
            using (true)', name);
        execute format('grant select on %I to daybook_backup', name);
    end loop;
end $$;
grant select, insert, update, delete on consumers, consumer_positions to daybook_app;
grant select, insert, delete on tickets to daybook_app;
create policy all_tenants on tickets to daybook_operator using (true) with check (true);
grant select, delete on tickets to daybook_operator;

-- Uses up a ticket: whose it is, and which key it stands for. Before the answer there is no
-- tenant, as for a key. The row goes in the statement that reads it, so of two that come
-- with one ticket the second waits for the first, and then finds nothing.
create function redeem_ticket(ticket_digest bytea)
returns table (tenant_id uuid, key_digest bytea)
language sql volatile security definer
set search_path = daybook, pg_temp
as $$
    with used as (
        delete from tickets t where t.digest = ticket_digest
        returning t.tenant_id, t.key_digest, t.expires_at)
    select u.tenant_id, u.key_digest from used u where u.expires_at > clock_timestamp()
$$;

reset role;
grant create on schema daybook to daybook_log, daybook_operator;  -- for these two only
alter function daybook.log_heads owner to daybook_log;
alter function daybook.redeem_ticket owner to daybook_operator;
revoke create on schema daybook from daybook_log, daybook_operator;
revoke all on function daybook.log_heads, daybook.redeem_ticket from public;
grant execute on function daybook.log_heads to daybook_operator;
grant execute on function daybook.redeem_ticket to daybook_app;

commit;


-- 0016 idempotency ----------------------------------------------------------------------

begin;

-- Idempotency-Key: what a request under a key did and was answered, for 24 hours.
set local role daybook_owner;
set local search_path = daybook;

-- One row a key, written in the transaction of what the request did.
--   tenant_id      whose key it is; all zeros for the operator's
--   fingerprint    of method, path and body: anything else under the key is refused
--   run            the run that did it; another one that comes by is a repeat
--   made           the id of what it made, where it made something
--   log_tenant_id  whose log `positions` are in: the operator writes to those of tenants
--   positions      of the events that it is answered with, in the order of the request
--   replayed       which of them had been there before
--   status, ...    the answer; null while it can be made from the events alone
-- Nobody but the functions below sees it: what is behind a key is shown to who sends it.
create table idempotency_keys (
    tenant_id uuid not null,
    key text not null,
    fingerprint bytea not null,
    run uuid not null,
    made uuid not null,
    log_tenant_id uuid,
    positions bigint[],
    replayed boolean[],
    status smallint,
    headers jsonb,
    body bytea,
    kept_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, key)
);
create index idempotency_keys_by_age on idempotency_keys (kept_at);

alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;
create policy behind_functions on idempotency_keys to daybook_log
    using (true) with check (true);
create policy forget on idempotency_keys to daybook_worker using (true);
create policy backup on idempotency_keys for select to daybook_backup using (true);
grant select, insert, update, delete on idempotency_keys to daybook_log;
grant select, delete, update on idempotency_keys to daybook_worker;
grant select on idempotency_keys to daybook_backup;

-- Whether a row still counts. It may lie about for longer.
create function is_kept(since timestamptz) returns boolean
language sql stable
as $$ select since > now() - interval '24 hours' $$;

-- The advisory lock of whoever does what a key names. Two keys may share one; then one
-- waits for the other without need.
create function lock_of_key(tenant uuid, name text) returns bigint
language sql immutable
as $$ select hashtextextended(tenant || ' ' || name, 0) $$;

-- Claims keys for this session, and says what is known of them. The lock ends with the
-- session: when the process dies the key is free, and what it did or did not do stands in
-- the row or does not. The row is read by a statement of its own, whose snapshot is taken
-- with the lock held: so it has whatever the last holder committed.
create function claim_keys(tenants uuid[], names text[]) returns table (
    k int, is_ours boolean, fingerprint bytea, run uuid, made uuid, log_tenant_id uuid,
    positions bigint[], replayed boolean[], status smallint, headers jsonb, body bytea
)
language plpgsql security definer
set search_path = daybook, pg_temp
as $$
#variable_conflict use_column
declare
    ours boolean[];
begin
    select array_agg(pg_try_advisory_lock(lock_of_key(c.tenant, c.name)) order by c.k)
    into ours
    from unnest(tenants, names) with ordinality as c (tenant, name, k);
    return query
    select c.k::int, ours[c.k], i.fingerprint, i.run, i.made, i.log_tenant_id,
        i.positions, i.replayed, i.status, i.headers, i.body
    from unnest(tenants, names) with ordinality as c (tenant, name, k)
    left join idempotency_keys i
        on i.tenant_id = c.tenant and i.key = c.name and is_kept(i.kept_at)
    order by c.k;
end $$;

-- Writes down what was done under a key, or what was answered, or both. Ends the
-- transaction when another run has done it: that run's lock was lost with its session, and
-- what this one did must not stay.
create function keep_key(
    tenant uuid, name text, print bytea, this_run uuid, made_id uuid, log_tenant uuid,
    event_positions bigint[], event_replayed boolean[], answer_status smallint,
    answer_headers jsonb, answer_body bytea
) returns void
language plpgsql security definer
set search_path = daybook, pg_temp
as $$
begin
    delete from idempotency_keys i
    where i.tenant_id = tenant and i.key = name and not is_kept(i.kept_at);
    insert into idempotency_keys as i (
        tenant_id, key, fingerprint, run, made, log_tenant_id, positions, replayed, status,
        headers, body)
    values (
        tenant, name, print, this_run, made_id, log_tenant, event_positions, event_replayed,
        answer_status, answer_headers, answer_body)
    on conflict (tenant_id, key) do update set
        log_tenant_id = coalesce(excluded.log_tenant_id, i.log_tenant_id),
        positions = coalesce(excluded.positions, i.positions),
        replayed = coalesce(excluded.replayed, i.replayed),
        status = excluded.status, headers = excluded.headers, body = excluded.body
    where i.run = excluded.run;
    perform require(found, 'repeated', name);
end $$;

-- The same for a command, after its append: by the ids of its events.
create function keep_command(
    tenant uuid, name text, print bytea, this_run uuid, made_id uuid, log_tenant uuid,
    event_ids text[]
) returns void
language plpgsql security definer
set search_path = daybook, pg_temp
as $$
begin
    perform keep_key(
        tenant, name, print, this_run, made_id, log_tenant,
        array_agg(e.position order by e.position),
        array_agg(false), null, null, null)
    from events e
    where e.tenant_id = log_tenant and e.event_id = any(event_ids);
end $$;

-- log_append for a group in which requests have keys: what was appended under a key is
-- written down with it. What the log refused leaves no row.
create function log_append_kept(
    tenants uuid[], requests int[], event_ids text[], streams text[], expected bigint[],
    types text[], topics text[], states bytea[], metadatas bytea[], sources text[],
    subjects text[], actors text[], correlations text[], causations text[],
    occurred timestamptz[], fingerprints bytea[], source_ids text[], checked bigint[],
    keyed int[], key_tenants uuid[], names text[], prints bytea[], runs uuid[], made uuid[]
) returns table (
    k int, answer text, log_position bigint, "position" bigint, stream text,
    version bigint, recorded_at timestamptz, event_id text
)
language plpgsql security definer
set search_path = daybook, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    positions bigint[];
    answers text[];
begin
    for k, answer, log_position, "position", stream, version, recorded_at, event_id in
        select * from log_append(
            tenants, requests, event_ids, streams, expected, types, topics, states,
            metadatas, sources, subjects, actors, correlations, causations, occurred,
            fingerprints, source_ids, checked)
    loop
        positions[k] := "position";
        answers[k] := answer;
        return next;
    end loop;
    perform keep_key(
        c.tenant, c.name, c.print, c.run, c.made, a.tenant, a.positions, a.replayed,
        null, null, null)
    from unnest(keyed, key_tenants, names, prints, runs, made)
        as c (request, tenant, name, print, run, made)
    join (
        select r.request, min(r.tenant::text)::uuid as tenant,
            array_agg(r.position order by r.k) as positions,
            array_agg(r.answer = 'replayed' order by r.k) as replayed
        from unnest(requests, tenants, positions, answers) with ordinality
            as r (request, tenant, position, answer, k)
        group by r.request
        having bool_and(r.answer in ('appended', 'replayed'))) a using (request);
end $$;

reset role;
grant create on schema daybook to daybook_log;  -- for the next statements only
alter function daybook.claim_keys owner to daybook_log;
alter function daybook.keep_key owner to daybook_log;
alter function daybook.keep_command owner to daybook_log;
alter function daybook.log_append_kept owner to daybook_log;
revoke create on schema daybook from daybook_log;
revoke all on function daybook.claim_keys, daybook.keep_key, daybook.keep_command,
    daybook.log_append_kept from public;
grant execute on function daybook.claim_keys, daybook.log_append_kept to daybook_app;
grant execute on function daybook.keep_key, daybook.keep_command
    to daybook_app, daybook_operator;

commit;


-- 0017 schemas --------------------------------------------------------------------------

begin;

-- Event types have a schema that their events must keep, and fields left out of bodies.
set local role daybook_owner;
set local search_path = daybook;

-- schema: as it was sent, in its order. schema_version: 1, 2, 3 ... with each other schema of
-- the type; null without one. secret_fields: JSON pointers into `data`.
alter table event_types
    add column schema json,
    add column schema_version int,
    add column secret_fields text[] not null default '{}';
create index event_types_with_schema on event_types (tenant_id, type)
    where schema is not null;

-- Of the events of a type at positions from_position .. to_position, both inclusive, these
-- fields are left out of what webhooks are sent. It moves with the log like webhook_ranges,
-- so a body is a function of the log, whenever it is made.
create table secret_field_ranges (
    tenant_id uuid not null,
    type text not null,
    to_position bigint not null,
    from_position bigint not null,
    secret_fields text[] not null,
    primary key (tenant_id, type, to_position)
);
alter table secret_field_ranges enable row level security;
alter table secret_field_ranges force row level security;
create policy own_tenant on secret_field_ranges to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on secret_field_ranges for select to daybook_worker using (true);
create policy backup on secret_field_ranges for select to daybook_backup using (true);
grant select, insert, update on secret_field_ranges to daybook_app;
grant select on secret_field_ranges to daybook_worker, daybook_backup;

commit;


-- 0018 traces ---------------------------------------------------------------------------

begin;

-- Which trace an event belongs to: what its publisher's `traceparent` named.
set local role daybook_owner;
set local search_path = daybook;

-- trace: 16 bytes of trace id, 8 of span id, 1 of flags; null where the publisher named
-- none. Adding the column rewrites nothing, and a null takes no room.
alter table events add column trace bytea;

-- Another list of parameters is another function: nothing calls the former ones any more.
drop function log_append_kept;
drop function log_append;

-- The one way in. Takes a group of rows; rows with the same request number stand or fall
-- together and follow each other. Decides request by request in the order given.
--
-- The first statement takes the log's lock; each later statement has a snapshot of its own,
-- taken with the lock held, so what it reads is what was committed last. The lock ends with
-- the transaction: when the caller, its connection or the server dies, nothing was written
-- and nothing stays locked. A refusal is an answer, not an error: it harms only its request
-- and uses up no position.
--
-- A row with a source_id is known by source and source_id, any other by its event id.
-- `checked` is the head of the tenant's catalogue that a row was checked against, or null.
-- A command that changes the catalogue holds the log's lock until it has committed, so
-- whoever reads the head here has it: no row is stored that breaks a schema in force.
--
-- A row's answer: 'appended'; 'replayed' (same id, same content: the first answer again);
-- 'event_exists', 'version_conflict' (with what is there), 'causation_too_deep'; 'outdated'
-- (the catalogue has changed since the row was checked: check it again); 'refused' (another
-- row of its request was).
create function log_append(
    tenants uuid[], requests int[], event_ids text[], streams text[], expected bigint[],
    types text[], topics text[], states bytea[], metadatas bytea[], sources text[],
    subjects text[], actors text[], correlations text[], causations text[],
    occurred timestamptz[], fingerprints bytea[], source_ids text[], checked bigint[],
    traces bytea[]
) returns table (
    k int, answer text, log_position bigint, "position" bigint, stream text,
    version bigint, recorded_at timestamptz, event_id text
)
language plpgsql security definer
set search_path = daybook, pg_temp
-- A generic plan guesses the arrays' sizes wrong; planning anew each time is twice as fast.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    n constant int := coalesce(cardinality(event_ids), 0);
    last_position bigint;
    stamp timestamptz;
    -- What the log says about each row, read in one statement.
    slots int[];         -- its stream within the group
    id_slots int[];      -- what it is known by, within the group
    tenant_slots int[];  -- its tenant within the group
    heads bigint[];      -- its stream's version in the log
    tenant_heads bigint[];  -- its tenant's last position
    known bigint[];      -- position of the event in the log that is known by the same
    same boolean[];      -- that event has the row's fingerprint
    depths int[];        -- the chain of causes behind it; null: cause not in the log
    outdated boolean[];  -- the catalogue has changed since it was checked
    -- What is decided, moved as rows are accepted.
    stream_heads bigint[] := '{}';
    last_in_tenant bigint[] := '{}';
    holders int[] := '{}';  -- id slot -> the accepted row that is known by the same
    -- The answers; as long as the group from the start, so that unnest aligns them.
    answers text[] := array_fill(null::text, array[n]);
    versions bigint[] := array_fill(null::bigint, array[n]);
    twins int[] := array_fill(null::int, array[n]);  -- the row of this group it repeats
    log_positions bigint[] := array_fill(null::bigint, array[n]);
    positions bigint[] := array_fill(null::bigint, array[n]);
    i int := 1;
    names text[];  -- each row's tenant and id, once a cause is looked for
    cause int;
    first int;
    fine boolean;
begin
    perform pg_advisory_xact_lock(4919131752989213764);

    select e.log_position, e.recorded_at into last_position, stamp
    from events e order by e.log_position desc limit 1;
    last_position := coalesce(last_position, 0);
    stamp := greatest(clock_timestamp(), stamp);

    select array_agg(p.slot order by p.k), array_agg(p.id_slot order by p.k),
           array_agg(p.tenant_slot order by p.k), array_agg(p.head order by p.k),
           array_agg(p.known order by p.k), array_agg(p.same order by p.k),
           array_agg(p.depth order by p.k), array_agg(p.outdated order by p.k),
           array_agg(p.tenant_head order by p.k)
    into slots, id_slots, tenant_slots, heads, known, same, depths, outdated, tenant_heads
    from (
        select r.k,
            dense_rank() over (order by r.tenant_id, r.stream) as slot,
            dense_rank() over (order by r.tenant_id, r.event_id) as id_slot,
            dense_rank() over (order by r.tenant_id) as tenant_slot,
            coalesce((
                select e.version from events e
                where e.tenant_id = r.tenant_id and e.stream = r.stream
                order by e.version desc limit 1), 0) as head,
            coalesce((
                select e.position from events e where e.tenant_id = r.tenant_id
                order by e.position desc limit 1), 0) as tenant_head,
            d.position as known,
            d.fingerprint is not distinct from r.fingerprint as same,
            case when r.causation_id is null then 0 else (
                select e.depth + 1 from events e
                where e.tenant_id = r.tenant_id and e.event_id = r.causation_id)
            end as depth,
            coalesce((
                select c.position from catalogue_heads c
                where c.tenant_id = r.tenant_id) > r.checked, false) as outdated
        from unnest(tenants, event_ids, streams, causations, fingerprints, checked)
            with ordinality
            as r (tenant_id, event_id, stream, causation_id, fingerprint, checked, k)
        left join lateral (
            select e.position, e.fingerprint from events e
            where e.tenant_id = r.tenant_id and e.event_id = r.event_id
            limit 1) d on true
    ) p;

    -- Few groups have such rows, and those that have none need not pay for them. No source
    -- has a space in it, and no event id: what is made of both is never another's.
    if array_remove(source_ids, null) <> '{}' then
        select array_agg(p.id_slot order by p.k), array_agg(p.known order by p.k),
               array_agg(p.same order by p.k)
        into id_slots, known, same
        from (
            select r.k,
                dense_rank() over (order by r.tenant_id,
                    coalesce(r.source || ' ' || r.source_id, r.event_id)) as id_slot,
                coalesce(r.known, d.position) as known,
                case when r.known is null
                    then d.fingerprint is not distinct from r.fingerprint
                    else r.same end as same
            from unnest(
                tenants, event_ids, sources, source_ids, fingerprints, known, same)
                with ordinality
                as r (tenant_id, event_id, source, source_id, fingerprint, known, same, k)
            left join lateral (
                select e.position, e.fingerprint from events e
                where e.tenant_id = r.tenant_id and e.source = r.source
                    and e.source_id = r.source_id
                limit 1) d on true
        ) p;
    end if;

    for j in 1 .. n loop
        stream_heads[slots[j]] := heads[j];
        last_in_tenant[tenant_slots[j]] := tenant_heads[j];
    end loop;

    while i <= n loop
        first := i;
        fine := true;
        while i <= n and requests[i] = requests[first] loop
            if depths[i] is null then  -- the cause is in this group, or nowhere
                if names is null then
                    select array_agg(r.tenant_id || ' ' || r.event_id order by r.k)
                    into names
                    from unnest(tenants, event_ids)
                        with ordinality as r (tenant_id, event_id, k);
                end if;
                cause := array_position(names, tenants[i] || ' ' || causations[i]);
                depths[i] := coalesce(depths[holders[id_slots[cause]]] + 1, 0);
            end if;
            if known[i] is not null then
                answers[i] := case when same[i] then 'replayed' else 'event_exists' end;
            elsif holders[id_slots[i]] is not null then
                twins[i] := holders[id_slots[i]];
                answers[i] := case
                    when fingerprints[i] is not distinct from fingerprints[twins[i]]
                    then 'replayed' else 'event_exists' end;
            elsif outdated[i] then
                answers[i] := 'outdated';
            elsif depths[i] > 10 then
                answers[i] := 'causation_too_deep';
            elsif expected[i] <> stream_heads[slots[i]] then
                answers[i] := 'version_conflict';
                versions[i] := stream_heads[slots[i]];
            else
                answers[i] := 'appended';
                versions[i] := stream_heads[slots[i]] + 1;
                stream_heads[slots[i]] := versions[i];
                holders[id_slots[i]] := i;
            end if;
            fine := fine and answers[i] in ('appended', 'replayed');
            i := i + 1;
        end loop;
        for j in first .. i - 1 loop
            if answers[j] = 'appended' and fine then
                last_position := last_position + 1;
                log_positions[j] := last_position;
                last_in_tenant[tenant_slots[j]] := last_in_tenant[tenant_slots[j]] + 1;
                positions[j] := last_in_tenant[tenant_slots[j]];
            elsif answers[j] = 'appended' then
                stream_heads[slots[j]] := stream_heads[slots[j]] - 1;
                holders[id_slots[j]] := null;
                answers[j] := 'refused';
            elsif log_positions[twins[j]] is not null then
                log_positions[j] := log_positions[twins[j]];
                positions[j] := positions[twins[j]];
                event_ids[j] := event_ids[twins[j]];
                streams[j] := streams[twins[j]];
                versions[j] := versions[twins[j]];
            elsif twins[j] is not null and answers[j] = 'replayed' then
                answers[j] := 'refused';
            end if;
        end loop;
    end loop;

    insert into events (
        tenant_id, position, log_position, stream, version, event_id, type, topic, source,
        source_id, subject, state, metadata, actor, correlation_id, causation_id, depth,
        occurred_at, recorded_at, fingerprint, trace)
    select r.tenant_id, r.position, r.log_position, r.stream, r.version, r.event_id, r.type,
        r.topic, r.source, r.source_id, r.subject, r.state, r.metadata, r.actor,
        r.correlation_id, r.causation_id, r.depth, coalesce(r.occurred_at, stamp), stamp,
        r.fingerprint, r.trace
    from unnest(
        answers, tenants, positions, log_positions, streams, versions, event_ids, types,
        topics, sources, source_ids, subjects, states, metadatas, actors, correlations,
        causations, depths, occurred, fingerprints, traces)
        as r (answer, tenant_id, position, log_position, stream, version, event_id, type,
              topic, source, source_id, subject, state, metadata, actor, correlation_id,
              causation_id, depth, occurred_at, fingerprint, trace)
    where r.answer = 'appended';

    return query
    select r.k::int, r.answer, coalesce(r.log_position, e.log_position),
        coalesce(r.position, e.position), coalesce(e.stream, r.stream),
        coalesce(r.version, e.version), coalesce(e.recorded_at, stamp),
        coalesce(e.event_id, r.event_id)
    from unnest(
        answers, log_positions, positions, streams, versions, tenants, known, event_ids)
        with ordinality
        as r (answer, log_position, position, stream, version, tenant_id, known, event_id,
              k)
    left join events e on e.tenant_id = r.tenant_id and e.position = r.known
    order by r.k;
end $$;

-- log_append for a group in which requests have keys: what was appended under a key is
-- written down with it. What the log refused leaves no row.
create function log_append_kept(
    tenants uuid[], requests int[], event_ids text[], streams text[], expected bigint[],
    types text[], topics text[], states bytea[], metadatas bytea[], sources text[],
    subjects text[], actors text[], correlations text[], causations text[],
    occurred timestamptz[], fingerprints bytea[], source_ids text[], checked bigint[],
    traces bytea[],
    keyed int[], key_tenants uuid[], names text[], prints bytea[], runs uuid[], made uuid[]
) returns table (
    k int, answer text, log_position bigint, "position" bigint, stream text,
    version bigint, recorded_at timestamptz, event_id text
)
language plpgsql security definer
set search_path = daybook, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    positions bigint[];
    answers text[];
begin
    for k, answer, log_position, "position", stream, version, recorded_at, event_id in
        select * from log_append(
            tenants, requests, event_ids, streams, expected, types, topics, states,
            metadatas, sources, subjects, actors, correlations, causations, occurred,
            fingerprints, source_ids, checked, traces)
    loop
        positions[k] := "position";
        answers[k] := answer;
        return next;
    end loop;
    perform keep_key(
        c.tenant, c.name, c.print, c.run, c.made, a.tenant, a.positions, a.replayed,
        null, null, null)
    from unnest(keyed, key_tenants, names, prints, runs, made)
        as c (request, tenant, name, print, run, made)
    join (
        select r.request, min(r.tenant::text)::uuid as tenant,
            array_agg(r.position order by r.k) as positions,
            array_agg(r.answer = 'replayed' order by r.k) as replayed
        from unnest(requests, tenants, positions, answers) with ordinality
            as r (request, tenant, position, answer, k)
        group by r.request
        having bool_and(r.answer in ('appended', 'replayed'))) a using (request);
end $$;

reset role;
grant create on schema daybook to daybook_log;  -- for the next statements only
alter function daybook.log_append owner to daybook_log;
alter function daybook.log_append_kept owner to daybook_log;
revoke create on schema daybook from daybook_log;
revoke all on function daybook.log_append, daybook.log_append_kept from public;
grant execute on function daybook.log_append
    to daybook_app, daybook_operator, daybook_worker;
grant execute on function daybook.log_append_kept to daybook_app;

commit;


-- 0019 rate_limits ----------------------------------------------------------------------

begin;

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

commit;


-- 0020 by_hand --------------------------------------------------------------------------

begin;

-- What is asked for by hand: one more attempt, or dead deliveries owed again; of replays
-- that have ended too.
set local role daybook_owner;
set local search_path = daybook;

-- asked: how often something was asked for by hand in this lane. Who asks counts here
-- first, in the transaction that owes; so a worker that found the lane empty, and ends it
-- only while the count is what it then was, never leaves a row behind without a lane.
alter table lanes add column asked bigint not null default 0;
grant update (asked) on lanes to daybook_app;

-- As before (see 0014), and: what was asked for by hand after its replay was cancelled is
-- sent all the same; is_owed tells the two halves apart. What is owed has a lane, so one
-- delivery is found by its tenant's lanes, however many are owed.
create or replace view deliveries with (security_invoker = true) as
select o.tenant_id, o.position, w.number, o.webhook_id, o.replay, o.webhook_version,
    o.sequence, s.state, o.attempts, o.status_code, o.error,
    case when s.state = 'retrying' then o.next_attempt_at end as next_attempt_at,
    case s.state
        when 'cancelled' then coalesce(j.finished_at, w.updated_at)
        when 'dead' then o.held_at
    end as finished_at,
    w.state as webhook_state, e.event_id, e.type, e.stream, e.recorded_at,
    j.replay_id, coalesce(j.created_at, e.recorded_at) as created_at, true as is_owed
from lanes l
join owed o using (tenant_id, webhook_id, replay)
join webhooks w using (tenant_id, webhook_id)
left join replays j using (tenant_id, webhook_id, replay)
join events e on e.tenant_id = o.tenant_id and e.position = o.position
cross join lateral (
    select case
        when w.state = 'deleted'
            or (j.state = 'cancelled' and not (o.once or o.base > 0)) then 'cancelled'
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
    j.replay_id, coalesce(j.created_at, e.recorded_at), false
from results r
join webhooks w using (tenant_id, webhook_id)
left join replays j using (tenant_id, webhook_id, replay)
join events e on e.tenant_id = r.tenant_id and e.position = r.position;

commit;


-- 0021 edge -----------------------------------------------------------------------------

begin;

-- Who does what is done for several tenants in one call: a role that sees no row.
--
-- The log takes groups, keys are claimed together, quotas are taken together: the functions
-- for that take the tenants as parameters. So they are not for the role of a tenant's own
-- requests, of which the database itself makes sure that it sees one tenant.
do $$
declare
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    may_take_on constant text := case when modern then 'set' else 'member' end;
    options constant text := case when modern then ' with inherit true, set true' else '' end;
begin
    begin
        if not exists (select from pg_roles where rolname = 'daybook_edge') then
            create role daybook_edge nologin;
        end if;
    exception when duplicate_object or unique_violation then
        null;
    end;
    begin
        if not (pg_has_role(session_user, 'daybook_edge', may_take_on)
                and pg_has_role(session_user, 'daybook_edge', 'usage')) then
            execute format('grant daybook_edge to %I', session_user) || options;
        end if;
    exception when unique_violation then
        null;
    end;
end $$;

set local role daybook_owner;
set local search_path = daybook;
grant usage on schema daybook to daybook_edge;

set local role daybook_log;
grant execute on function log_append, log_append_kept, log_find, claim_keys, keep_key,
    keep_command to daybook_edge;
revoke all on function log_append, log_append_kept, log_find, claim_keys, keep_command
    from daybook_app, daybook_operator;
revoke all on function keep_key from daybook_operator;

set local role daybook_owner;
grant execute on function take_quotas to daybook_edge;
revoke all on function take_quotas from daybook_app;

commit;


-- 0022 filters --------------------------------------------------------------------------

begin;

-- Payload filters are few: the handoff asks at each batch whether there is one at all.
set local role daybook_owner;
set local search_path = daybook;

create index webhook_versions_filtered on webhook_versions (tenant_id)
    where filter is not null;

commit;


-- 0023 history --------------------------------------------------------------------------

begin;

-- Lists of deliveries: quick with any filter, of replays as of live ones, and no older than
-- the tenant keeps them.
set local role daybook_owner;
set local search_path = daybook;

-- The status of an answer, 0 where none came. (Not coalesce: the planner does not take that
-- for leakproof, so row-level security would keep it away from the index.)
create function code_of(status_code int) returns int
language sql immutable
as $$
    select case when status_code is null then 0 else status_code end
$$;

-- The state of what is owed; see the comments on owed in 0005 and 0014.
create function owed_state(
    webhook_state text, replay_state text, by_hand boolean, is_held boolean,
    waits boolean, attempts int, keeps_order boolean, "position" bigint,
    sent_through bigint, skip_through bigint
) returns text
language sql immutable
as $$
    select case
        when webhook_state = 'deleted'
            or (replay_state = 'cancelled' and not by_hand) then 'cancelled'
        when is_held then 'dead'
        -- On the wire; what comes of it is still recorded, whatever was decided meanwhile.
        when not waits and (attempts > 0 or (
            not keeps_order and "position" <= sent_through)) then 'sending'
        when "position" <= skip_through then 'cancelled'
        when attempts > 0 then 'retrying'
        else 'pending'
    end
$$;

-- Since when a tenant sees finished deliveries: 90 days, or what the operator has set.
-- Without its own search path, so that the planner can put it into the statements that ask.
create function kept_since(tenant uuid) returns timestamptz
language sql stable
as $$
    select clock_timestamp() - make_interval(days => coalesce((
        select t.retention_days from daybook.tenants t where t.tenant_id = tenant), 90))
$$;

-- A webhook's deliveries, of one outcome each, newest or oldest first. There are few
-- outcomes: a page of all of them, or of a whole tenant, is merged from a page of each, and
-- an outcome that nobody had costs one look. Takes the place of two: a settle writes as
-- many index entries as before.
create index results_by_outcome on results (
    tenant_id, webhook_id, state, code_of(status_code), position);
-- A replay of few events among the live deliveries of millions.
create index results_of_replays on results (tenant_id, webhook_id, replay, position)
    where replay > 0;
drop index results_by_webhook;
drop index results_unsuccessful;

-- As before (see 0020), with the state by its function.
create or replace view deliveries with (security_invoker = true) as
select o.tenant_id, o.position, w.number, o.webhook_id, o.replay, o.webhook_version,
    o.sequence, s.state, o.attempts, o.status_code, o.error,
    case when s.state = 'retrying' then o.next_attempt_at end as next_attempt_at,
    case s.state
        when 'cancelled' then coalesce(j.finished_at, w.updated_at)
        when 'dead' then o.held_at
    end as finished_at,
    w.state as webhook_state, e.event_id, e.type, e.stream, e.recorded_at,
    j.replay_id, coalesce(j.created_at, e.recorded_at) as created_at, true as is_owed
from lanes l
join owed o using (tenant_id, webhook_id, replay)
join webhooks w using (tenant_id, webhook_id)
left join replays j using (tenant_id, webhook_id, replay)
join events e on e.tenant_id = o.tenant_id and e.position = o.position
cross join lateral (
    select owed_state(
        w.state, j.state, o.once or o.base > 0, o.held_at is not null,
        o.next_attempt_at is not null, o.attempts, o.stream is not null, o.position,
        l.sent_through, l.skip_through) as state) s
union all
select r.tenant_id, r.position, w.number, r.webhook_id, r.replay, r.webhook_version,
    r.sequence, r.state, r.attempts, r.status_code, r.error, null, r.finished_at,
    w.state, e.event_id, e.type, e.stream, e.recorded_at,
    j.replay_id, coalesce(j.created_at, e.recorded_at), false
from results r
join webhooks w using (tenant_id, webhook_id)
left join replays j using (tenant_id, webhook_id, replay)
join events e on e.tenant_id = r.tenant_id and e.position = r.position;

commit;


-- 0024 stats ----------------------------------------------------------------------------

begin;

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

commit;


-- 0025 forgetting -----------------------------------------------------------------------

begin;

-- What is kept no longer is deleted by workers; a month of which nothing is left is dropped.
set local role daybook_owner;
set local search_path = daybook;

grant delete on attempts to daybook_worker;

-- Drops one partition that ended three months ago and holds nothing: all its rows have been
-- deleted, and vacuum has cut its file to nothing. (Not "has no rows": its owner sees none,
-- row-level security is forced.) Its name; null when there is none.
--
-- The parent is locked against everybody for the drop, and waited for half a second at most,
-- as others wait behind it; one parent a call, parent first, as statements lock them. What
-- was written meanwhile is seen by the second look at its size, and it stays. A crash undoes
-- all of it.
create function drop_empty_partition() returns text
language plpgsql security definer
set search_path = daybook, pg_temp
set lock_timeout = '500ms'
as $$
declare
    found record;
begin
    for found in
        select c.oid, c.relname as part, p.relname as parent
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_class p on p.oid = i.inhparent
        where p.relnamespace = 'daybook'::regnamespace
            and p.relname in ('attempts', 'results')
            and c.relname ~ '_\d{4}_\d{2}$' and pg_relation_size(c.oid) = 0
            and to_date(right(c.relname, 7), 'YYYY_MM') < now() - interval '4 months'
        order by c.relname
    loop
        begin
            execute format('lock table only %I in access exclusive mode', found.parent);
            execute format('lock table %I in access exclusive mode', found.part);
            if pg_relation_size(found.oid) = 0 then
                execute format('drop table %I', found.part);
                return found.part;
            end if;
        exception
            -- Somebody reads it for longer, or another worker drops it: the next one, the
            -- next time.
            when lock_not_available or undefined_table then null;
        end;
    end loop;
    return null;
end $$;
revoke all on function drop_empty_partition from public;
grant execute on function drop_empty_partition to daybook_worker;

commit;
