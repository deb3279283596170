-- name: delivery
-- One delivery, by what its id names, as long as it is kept.
select position, number, webhook_id, replay, webhook_version, sequence, state, attempts,
    next_attempt_at, status_code, error, finished_at, event_id, type, stream,
    webhook_state, replay_id, created_at, is_owed
from deliveries
where tenant_id = %(tenant_id)s and position = %(position)s and number = %(number)s
    and replay = %(replay)s
    and (is_owed or finished_at >= (select kept_since(%(tenant_id)s)))

-- name: attempts
-- The attempts of a delivery, in order.
select number, trigger, started_at, duration_ms, status_code, error, detail,
    retry_after_seconds, body_bytes, body_sha256, response_headers, response_bytes
from attempts
where tenant_id = %(tenant_id)s and position = %(position)s
    and webhook_id = %(webhook_id)s and replay = %(replay)s
order by number
