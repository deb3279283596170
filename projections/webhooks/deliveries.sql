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
    retry_after_seconds, body_bytes, body_sha256, response_headers, response_bytes,
    webhook_version, snippet_key_id, snippet
from attempts
where tenant_id = %(tenant_id)s and position = %(position)s
    and webhook_id = %(webhook_id)s and replay = %(replay)s
order by number

-- name: content
-- What the body of a delivery is made of, and what more its requests carried: see
-- `first_attempts` in lanes.sql, which reads the same.
select e.position, e.event_id, e.type, e.stream, e.version, e.state, e.metadata, e.source,
    e.source_id, e.subject, e.correlation_id, e.causation_id, e.occurred_at, e.trace,
    x.secret_fields, v.format, w.header_names, w.headers_version,
    coalesce(j.fresh_ids, false) as fresh_ids
from events e
join webhooks w on w.tenant_id = e.tenant_id and w.webhook_id = %(webhook_id)s
join webhook_versions v on v.tenant_id = w.tenant_id and v.webhook_id = w.webhook_id
    and v.version = %(webhook_version)s
left join replays j on j.tenant_id = w.tenant_id and j.webhook_id = w.webhook_id
    and j.replay = %(replay)s
left join secret_field_ranges x on x.tenant_id = e.tenant_id and x.type = e.type
    and x.from_position <= e.position and x.to_position >= e.position
where e.tenant_id = %(tenant_id)s and e.position = %(position)s
