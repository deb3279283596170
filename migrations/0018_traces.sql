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
