-- name: webhook
-- A webhook as it is now; a deleted one is an absent one.
select w.webhook_id, w.number, w.url, w.name, w.description, w.event_types, w.streams,
    w.filter, w.header_names, w.headers_version, w.format, w.signing, w.retry,
    w.timeout_seconds, w.rate_per_second, w.max_in_flight, w.ordering, w.on_dead,
    w.disable_failures, w.disable_over_seconds, w.keep_response, w.networks, w.metadata,
    w.state, w.disabled_at, w.disabled_reason, w.disabled_position, w.version,
    w.created_by, w.created_at, w.updated_at, l.failing_since is not null as is_failing,
    l.opened_at is not null as is_open, (
        select k.public_key from webhook_secrets k
        where k.tenant_id = w.tenant_id and k.webhook_id = w.webhook_id
            and k.scheme = 'v1a' and k.expires_at is null) as public_key
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
    l.opened_at is not null as is_open, (
        select k.public_key from webhook_secrets k
        where k.tenant_id = w.tenant_id and k.webhook_id = w.webhook_id
            and k.scheme = 'v1a' and k.expires_at is null) as public_key
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
    l.opened_at is not null as is_open, (
        select k.public_key from webhook_secrets k
        where k.tenant_id = w.tenant_id and k.webhook_id = w.webhook_id
            and k.scheme = 'v1a' and k.expires_at is null) as public_key
from webhooks w
left join lanes l on l.tenant_id = w.tenant_id and l.webhook_id = w.webhook_id
    and l.replay = 0
where w.tenant_id = %(tenant_id)s and w.state <> 'deleted' and w.number < %(key)s
order by w.number desc
limit %(limit)s

-- name: to_match
-- What an event is matched by: every webhook of a tenant, oldest first.
select webhook_id, state, event_types, streams, filter from webhooks
where tenant_id = %(tenant_id)s and state <> 'deleted'
order by number

-- name: webhook_as_of
-- What a webhook's events up to one of its versions say beside its settings: since when it
-- is and who made it, when it was switched last and how; and the key it had.
select c.occurred_at as created_at, c.actor as created_by, u.occurred_at as updated_at,
    s.topic, s.occurred_at as switched_at, s.position as switched_at_position,
    s.state as switched, (
        select k.public_key from webhook_secrets k
        where k.tenant_id = c.tenant_id and k.webhook_id = %(webhook_id)s
            and k.scheme = 'v1a' and k.version <= u.version
        order by k.version desc limit 1) as public_key
from events c
join events u on u.tenant_id = c.tenant_id and u.stream = c.stream
    and u.version = %(version)s
left join lateral (
    select e.topic, e.occurred_at, e.position, e.state from events e
    where e.tenant_id = c.tenant_id and e.stream = c.stream and e.version <= u.version
        and e.topic in ('daybook.webhook.enabled', 'daybook.webhook.disabled')
    order by e.version desc limit 1) s on true
where c.tenant_id = %(tenant_id)s and c.stream = %(stream)s and c.version = 1

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
