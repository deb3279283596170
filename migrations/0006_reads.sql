-- What the API needs to read beyond single rows: states, indexes, figures for /health.
set local role daybook_owner;
set local search_path = daybook;

-- The state of a delivery that is still owed (see the comment on owed). What a deleted
-- webhook was owed is cancelled, whether or not a worker has come by to say so.
create function owed_state(
    webhook_state text, "position" bigint, attempts int, next_attempt_at timestamptz,
    sent_through bigint
) returns text
language sql immutable parallel safe
as $$
    select case
        when webhook_state = 'deleted' then 'cancelled'
        when next_attempt_at is not null then 'retrying'
        when attempts > 0 or position <= sent_through then 'sending'
        else 'pending'
    end
$$;

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
