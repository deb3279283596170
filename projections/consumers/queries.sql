-- name: insert_consumer
-- A consumer begins. Its place in lists is that of the event with which it began.
insert into consumers (
    tenant_id, name, event_types, streams, filter, start, created_position, version,
    created_by, created_at, updated_at)
select e.tenant_id, %(name)s, %(event_types)s, %(streams)s, %(filter)s, %(start)s,
    e.position, %(version)s, %(actor)s, %(at)s, %(at)s
from events e
where e.tenant_id = %(tenant_id)s and e.event_id = %(event_id)s

-- name: require_room
-- No tenant has more consumers than this. The log's lock is held, so they are counted
-- exactly.
select require(count(*) <= %(most)s, 'limit_reached',
    'a tenant has at most ' || %(most)s || ' consumers')
from consumers where tenant_id = %(tenant_id)s

-- name: place
-- Where it is from now on: what was named, or else the event's own position.
insert into consumer_positions (tenant_id, name, position, moved_at)
select e.tenant_id, %(name)s, coalesce(%(position)s::bigint, e.position), %(at)s
from events e
where e.tenant_id = %(tenant_id)s and e.event_id = %(event_id)s
on conflict (tenant_id, name) do update
set position = excluded.position, moved_at = excluded.moved_at

-- name: update_consumer
-- Its settings change; where it is does not.
update consumers
set event_types = %(event_types)s, streams = %(streams)s, filter = %(filter)s,
    version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s and name = %(name)s

-- name: touch_consumer
-- Something happened to it that is not in its settings.
update consumers set version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s and name = %(name)s

-- name: delete_consumer
-- It ends.
delete from consumers where tenant_id = %(tenant_id)s and name = %(name)s

-- name: delete_place
-- And where it was is forgotten.
delete from consumer_positions where tenant_id = %(tenant_id)s and name = %(name)s
