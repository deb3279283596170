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
