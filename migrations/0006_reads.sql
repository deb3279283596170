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
