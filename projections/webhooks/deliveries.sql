-- name: deliveries
-- Deliveries of the events at `first` to `last`, or at some positions there, on one side of
-- a key, nearest first: sign is 1 for rising and -1 for falling positions. The range bounds
-- what is sorted.
select position, number, webhook_id, replay, webhook_version, sequence, state, attempts,
    next_attempt_at, status_code, error, finished_at, event_id, type, stream, recorded_at,
    webhook_state
from deliveries
where tenant_id = %(tenant_id)s and replay = 0
    and position between %(first)s and %(last)s
    and case when %(sign)s > 0
        then (position, number) > (%(key_position)s, %(key_number)s)
        else (position, number) < (%(key_position)s, %(key_number)s) end
    and (%(webhook_id)s::uuid is null or webhook_id = %(webhook_id)s)
    and (%(states)s::text[] is null or state = any(%(states)s::text[]))
    and (%(status_code)s::int is null or status_code = %(status_code)s)
    and (%(positions)s::bigint[] is null or position = any(%(positions)s::bigint[]))
order by position * %(sign)s, number * %(sign)s
limit %(limit)s

-- name: delivery
-- One delivery, by what its id names.
select position, number, webhook_id, replay, webhook_version, sequence, state, attempts,
    next_attempt_at, status_code, error, finished_at, event_id, type, stream, recorded_at,
    webhook_state
from deliveries
where tenant_id = %(tenant_id)s and position = %(position)s and number = %(number)s
    and replay = %(replay)s

-- name: attempts
-- The attempts of a delivery, in order.
select number, trigger, started_at, duration_ms, status_code, error, detail,
    retry_after_seconds, body_bytes, body_sha256, response_headers, response_bytes
from attempts
where tenant_id = %(tenant_id)s and position = %(position)s
    and webhook_id = %(webhook_id)s and replay = %(replay)s
order by number

-- name: retry_waiting
-- A delivery that waits for a retry is due now. No row when it waits no more, or its
-- webhook sends nothing.
update owed o
set next_attempt_at = clock_timestamp(), trigger = 'retry'
from webhooks w
where o.tenant_id = %(tenant_id)s and o.webhook_id = %(webhook_id)s
    and o.replay = %(replay)s and o.position = %(position)s
    and o.next_attempt_at is not null
    and w.tenant_id = o.tenant_id and w.webhook_id = o.webhook_id and w.state = 'active'
returning o.position

-- name: retry_finished
-- A finished delivery is owed one more attempt; its attempts are counted on.
with taken as (
    delete from results r
    using webhooks w
    where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
        and r.replay = %(replay)s and r.position = %(position)s
        and w.tenant_id = r.tenant_id and w.webhook_id = r.webhook_id
        and w.state = 'active'
    returning r.*
)
insert into owed (
    tenant_id, webhook_id, replay, position, recorded_at, sequence, webhook_version,
    attempts, trigger, once, next_attempt_at, status_code, error)
select tenant_id, webhook_id, replay, position, recorded_at, sequence, webhook_version,
    attempts, 'retry', true, clock_timestamp(), status_code, error
from taken
returning position

-- name: poke
-- Tell the lane's owner that it cannot know this by itself.
insert into pokes (tenant_id, webhook_id) values (%(tenant_id)s, %(webhook_id)s)

-- name: notify_work
-- Wakes the workers that send. A hint, without data.
notify daybook_work
