-- name: insert_webhook
-- A webhook begins. The log's lock is held, so number and limit are counted exactly.
insert into webhooks (
    tenant_id, webhook_id, number, url, name, description, event_types, streams, filter,
    header_names, headers_version, format, signing, retry, timeout_seconds,
    rate_per_second, max_in_flight, ordering, on_dead, disable_failures,
    disable_over_seconds, keep_response, networks, metadata, state, version, created_by,
    created_at, updated_at)
select %(tenant_id)s, %(webhook_id)s, coalesce(max(number), 0) + 1, %(url)s, %(name)s,
    %(description)s, %(event_types)s, %(streams)s, %(filter)s, %(header_names)s,
    %(headers_version)s, %(format)s, %(signing)s, %(retry)s, %(timeout_seconds)s,
    %(rate_per_second)s, %(max_in_flight)s, %(ordering)s, %(on_dead)s, %(failures)s,
    %(over_seconds)s, %(keep_response)s, %(networks)s, %(metadata)s, 'active',
    %(version)s, %(actor)s, %(at)s, %(at)s
from webhooks where tenant_id = %(tenant_id)s

-- name: require_room
-- No tenant has more webhooks than this, or than the operator has given it.
select require(count(w.webhook_id) <= l.most, 'limit_reached',
    'the tenant has at most ' || l.most || ' webhooks')
from (
    select coalesce((
        select (t.limits ->> 'webhooks')::int from tenants t
        where t.tenant_id = %(tenant_id)s), %(most)s) as most) l
left join webhooks w on w.tenant_id = %(tenant_id)s and w.state <> 'deleted'
group by l.most

-- name: insert_lane
-- Where its live deliveries will be sent from.
insert into lanes (tenant_id, webhook_id) values (%(tenant_id)s, %(webhook_id)s)

-- name: insert_sequence
-- Its deliveries are numbered from 1.
insert into webhook_sequences (tenant_id, webhook_id, sequence, handed_off)
values (%(tenant_id)s, %(webhook_id)s, 0, 0)

-- name: update_webhook
-- Its settings change.
update webhooks
set url = %(url)s, name = %(name)s, description = %(description)s,
    event_types = %(event_types)s, streams = %(streams)s, filter = %(filter)s,
    header_names = %(header_names)s, headers_version = %(headers_version)s,
    format = %(format)s, signing = %(signing)s, retry = %(retry)s,
    timeout_seconds = %(timeout_seconds)s, rate_per_second = %(rate_per_second)s,
    max_in_flight = %(max_in_flight)s, ordering = %(ordering)s, on_dead = %(on_dead)s,
    disable_failures = %(failures)s, disable_over_seconds = %(over_seconds)s,
    keep_response = %(keep_response)s, networks = %(networks)s,
    metadata = %(metadata)s, version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s

-- name: renew_webhook
-- Another version of it, with the same settings.
update webhooks set version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s

-- name: enable_webhook
-- It sends again.
update webhooks
set state = 'active', disabled_at = null, disabled_reason = null,
    disabled_position = null, version = %(version)s, enabled_version = %(version)s,
    updated_at = %(at)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s

-- name: disable_webhook
-- It attempts nothing more.
update webhooks
set state = 'disabled', disabled_at = %(at)s, disabled_reason = %(reason)s,
    disabled_position = (
        select position from events
        where tenant_id = %(tenant_id)s and event_id = %(event_id)s),
    version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s

-- name: delete_webhook
-- It ends; its row stays for the history of its deliveries.
update webhooks
set state = 'deleted', version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s

-- name: close_ranges
-- Its patterns are in force up to and including this event.
update webhook_ranges
set to_position = (
    select position from events
    where tenant_id = %(tenant_id)s and event_id = %(event_id)s)
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
    and to_position = 9223372036854775807

-- name: open_ranges
-- Its patterns are in force from the next event on.
insert into webhook_ranges (
    tenant_id, pattern, from_position, to_position, webhook_id, version, own_stream)
select e.tenant_id, p.pattern, e.position + 1, 9223372036854775807, %(webhook_id)s,
    %(version)s, e.stream
from events e cross join unnest(%(patterns)s::text[]) as p (pattern)
where e.tenant_id = %(tenant_id)s and e.event_id = %(event_id)s

-- name: insert_version
-- What this version chooses events by beside their types, and the form they are sent in.
insert into webhook_versions (tenant_id, webhook_id, version, streams, filter, format)
values (%(tenant_id)s, %(webhook_id)s, %(version)s, %(streams)s, %(filter)s, %(format)s)

-- name: forget_failures
-- What failed before a webhook was enabled does not count any more.
update lanes set failures = 0, failing_since = null, opened_at = null
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and replay = 0

-- name: skip_waiting
-- What a webhook was owed until it was enabled is not sent any more.
update lanes
set skip_through = (
    select position from events
    where tenant_id = %(tenant_id)s and event_id = %(event_id)s)
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and replay = 0

-- name: require_webhook
-- It may have been deleted since it was looked at: then nothing new is made for it.
select require(exists (
    select from webhooks
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and state <> 'deleted'), 'not_found', '')

-- name: insert_replay
-- A replay begins. The log's lock is held, so its number is counted exactly; and the
-- webhook is as it was at this place in the log: what matches is pinned. One of the kind
-- `start` ends where the webhook begins, just before its own event.
insert into replays (
    tenant_id, webhook_id, replay, replay_id, kind, from_position, to_position, event_types,
    patterns, streams, filter, only_failed, fresh_ids, webhook_version, cursor, planned,
    created_by, created_at)
select w.tenant_id, w.webhook_id,
    coalesce((
        select max(replay) from replays
        where tenant_id = w.tenant_id and webhook_id = w.webhook_id), 0) + 1,
    %(replay_id)s, %(kind)s, %(from_position)s,
    coalesce(%(to_position)s::bigint, e.position - 1), %(event_types)s::text[],
    coalesce(%(patterns)s::text[], w.event_types), w.streams, w.filter, %(only_failed)s,
    %(fresh_ids)s, v.version, %(from_position)s - 1, %(count)s::bigint, %(actor)s, %(at)s
from webhooks w
join events e on e.tenant_id = w.tenant_id and e.event_id = %(event_id)s
cross join lateral (
    select version from webhook_versions
    where tenant_id = w.tenant_id and webhook_id = w.webhook_id
    order by version desc limit 1) v
where w.tenant_id = %(tenant_id)s and w.webhook_id = %(webhook_id)s

-- name: require_replay_room
-- No tenant has more replays running than this.
select require(count(*) <= %(most)s, 'limit_reached',
    'a tenant has at most ' || %(most)s || ' replays running')
from replays where tenant_id = %(tenant_id)s and state = 'running'

-- name: insert_replay_lane
-- Where it will be sent from.
insert into lanes (tenant_id, webhook_id, replay)
select tenant_id, webhook_id, replay from replays
where tenant_id = %(tenant_id)s and replay_id = %(replay_id)s

-- name: end_replay
-- It owes nothing more.
update replays set state = %(state)s, finished_at = %(at)s
where tenant_id = %(tenant_id)s and replay_id = %(replay_id)s and state = 'running'

-- name: cancel_replays
-- Those of a webhook that ends.
update replays set state = 'cancelled', finished_at = %(at)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and state = 'running'

-- name: poke
-- Tell the lane's owner to look again.
insert into pokes (tenant_id, webhook_id) values (%(tenant_id)s, %(webhook_id)s)

-- name: declare_event_type
-- An event type is declared, for the first time or again.
insert into event_types (
    tenant_id, type, description, schema, schema_version, example, deprecated,
    secret_fields, version, updated_at)
values (%(tenant_id)s, %(type)s, %(description)s, %(schema)s, %(schema_version)s,
    %(example)s, %(deprecated)s, %(secret_fields)s, %(version)s, %(at)s)
on conflict (tenant_id, type) do update
set description = excluded.description, schema = excluded.schema,
    schema_version = excluded.schema_version, example = excluded.example,
    deprecated = excluded.deprecated, secret_fields = excluded.secret_fields,
    version = excluded.version, updated_at = excluded.updated_at

-- name: require_room_for_schema
-- No tenant has more event types with a schema than this.
select require(count(*) <= %(most)s, 'limit_reached',
    'a tenant has at most ' || %(most)s || ' event types with a schema')
from event_types where tenant_id = %(tenant_id)s and schema is not null

-- name: move_catalogue
-- What publishers send from now on is checked against the catalogue as of this event.
insert into catalogue_heads (tenant_id, position)
select tenant_id, position from events
where tenant_id = %(tenant_id)s and event_id = %(event_id)s
on conflict (tenant_id) do update set position = excluded.position

-- name: close_secret_fields
-- What was to be left out is so up to and including this event.
update secret_field_ranges
set to_position = (
    select position from events
    where tenant_id = %(tenant_id)s and event_id = %(event_id)s)
where tenant_id = %(tenant_id)s and type = %(type)s and to_position = 9223372036854775807

-- name: open_secret_fields
-- What is to be left out from the next event on, if anything.
insert into secret_field_ranges (
    tenant_id, type, to_position, from_position, secret_fields)
select tenant_id, %(type)s, 9223372036854775807, position + 1, %(secret_fields)s
from events
where tenant_id = %(tenant_id)s and event_id = %(event_id)s
    and %(secret_fields)s::text[] <> '{}'
