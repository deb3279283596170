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
