-- name: deliveries
-- Deliveries of the events at `first` to `last`, or at some positions there, on one side of
-- a key, nearest first: sign is 1 for rising and -1 for falling positions. The range bounds
-- what is sorted.
select position, number, webhook_id, replay, webhook_version, sequence, state, attempts,
    next_attempt_at, status_code, error, finished_at, event_id, type, stream,
    webhook_state, replay_id, created_at, is_owed
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
    next_attempt_at, status_code, error, finished_at, event_id, type, stream,
    webhook_state, replay_id, created_at, is_owed
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
