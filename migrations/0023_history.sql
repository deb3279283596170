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
