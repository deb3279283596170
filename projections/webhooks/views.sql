-- name: webhook
-- A webhook as it is now; a deleted one is an absent one.
select w.webhook_id, w.number, w.url, w.name, w.description, w.event_types, w.streams,
    w.filter, w.header_names, w.headers_version, w.format, w.signing, w.retry,
    w.timeout_seconds, w.rate_per_second, w.max_in_flight, w.ordering, w.on_dead,
    w.disable_failures, w.disable_over_seconds, w.keep_response, w.networks, w.metadata,
    w.state, w.disabled_at, w.disabled_reason, w.disabled_position, w.version,
    w.created_by, w.created_at, w.updated_at, l.failing_since is not null as is_failing,
    l.opened_at is not null as is_open
from webhooks w
left join lanes l on l.tenant_id = w.tenant_id and l.webhook_id = w.webhook_id
    and l.replay = 0
where w.tenant_id = %(tenant_id)s and w.webhook_id = %(webhook_id)s
    and w.state <> 'deleted'

-- name: webhooks
-- A page of webhooks, oldest first: numbers rise in the order of creation.
select w.webhook_id, w.number, w.url, w.name, w.description, w.event_types, w.streams,
    w.filter, w.header_names, w.headers_version, w.format, w.signing, w.retry,
    w.timeout_seconds, w.rate_per_second, w.max_in_flight, w.ordering, w.on_dead,
    w.disable_failures, w.disable_over_seconds, w.keep_response, w.networks, w.metadata,
    w.state, w.disabled_at, w.disabled_reason, w.disabled_position, w.version,
    w.created_by, w.created_at, w.updated_at, l.failing_since is not null as is_failing,
    l.opened_at is not null as is_open
from webhooks w
left join lanes l on l.tenant_id = w.tenant_id and l.webhook_id = w.webhook_id
    and l.replay = 0
where w.tenant_id = %(tenant_id)s and w.state <> 'deleted'
    and w.number > coalesce(%(key)s::int, 0)
order by w.number
limit %(limit)s

-- name: webhooks_before
-- The page before, nearest first.
select w.webhook_id, w.number, w.url, w.name, w.description, w.event_types, w.streams,
    w.filter, w.header_names, w.headers_version, w.format, w.signing, w.retry,
    w.timeout_seconds, w.rate_per_second, w.max_in_flight, w.ordering, w.on_dead,
    w.disable_failures, w.disable_over_seconds, w.keep_response, w.networks, w.metadata,
    w.state, w.disabled_at, w.disabled_reason, w.disabled_position, w.version,
    w.created_by, w.created_at, w.updated_at, l.failing_since is not null as is_failing,
    l.opened_at is not null as is_open
from webhooks w
left join lanes l on l.tenant_id = w.tenant_id and l.webhook_id = w.webhook_id
    and l.replay = 0
where w.tenant_id = %(tenant_id)s and w.state <> 'deleted' and w.number < %(key)s
order by w.number desc
limit %(limit)s

-- name: event_type
-- What the tenant declared about a type.
select type, description, schema, schema_version, example, deprecated, secret_fields
from event_types
where tenant_id = %(tenant_id)s and type = %(type)s

-- name: event_types
-- All types the tenant declared.
select type, description, schema, schema_version, example, deprecated, secret_fields
from event_types
where tenant_id = %(tenant_id)s

-- name: schemas
-- Which of the tenant's event types have a schema, and as of when: one snapshot.
select coalesce((
        select position from catalogue_heads where tenant_id = %(tenant_id)s), 0) as head,
    coalesce(array_agg(type), '{}') as types,
    coalesce(array_agg(schema_version), '{}') as versions
from event_types
where tenant_id = %(tenant_id)s and schema is not null

-- name: ask_test
-- Somebody waits for a test delivery.
insert into test_requests (tenant_id, request_id, webhook_id, type, data)
values (%(tenant_id)s, %(request_id)s, %(webhook_id)s, %(type)s, %(data)s)

-- name: test
-- How far a test delivery is.
select taken_at is not null as is_taken, answer from test_requests
where tenant_id = %(tenant_id)s and request_id = %(request_id)s

-- name: forget_test
-- Nobody waits for it any more.
delete from test_requests
where tenant_id = %(tenant_id)s and request_id = %(request_id)s

-- name: notify_work
-- Wakes the workers that send. A hint, without data.
notify daybook_work
