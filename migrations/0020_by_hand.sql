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
