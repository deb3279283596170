-- name: consumer
-- One consumer, with its place and the end of its tenant's log in one look.
select c.name, c.event_types, c.streams, c.filter, c.start, c.created_position, c.version,
    c.created_by, c.created_at, c.updated_at, p.position, h.head
from consumers c
join consumer_positions p using (tenant_id, name)
cross join lateral (
    select e.position as head from events e
    where e.tenant_id = c.tenant_id order by e.position desc limit 1) h
where c.tenant_id = %(tenant_id)s and c.name = %(name)s

-- name: consumers
-- A page of consumers, oldest first.
select c.name, c.event_types, c.streams, c.filter, c.start, c.created_position, c.version,
    c.created_by, c.created_at, c.updated_at, p.position, h.head
from consumers c
join consumer_positions p using (tenant_id, name)
cross join (
    select e.position as head from events e
    where e.tenant_id = %(tenant_id)s order by e.position desc limit 1) h
where c.tenant_id = %(tenant_id)s
    and (%(key)s::bigint is null or c.created_position > %(key)s::bigint)
order by c.created_position
limit %(limit)s

-- name: consumers_before
-- The page before, nearest first.
select c.name, c.event_types, c.streams, c.filter, c.start, c.created_position, c.version,
    c.created_by, c.created_at, c.updated_at, p.position, h.head
from consumers c
join consumer_positions p using (tenant_id, name)
cross join (
    select e.position as head from events e
    where e.tenant_id = %(tenant_id)s order by e.position desc limit 1) h
where c.tenant_id = %(tenant_id)s and c.created_position < %(key)s::bigint
order by c.created_position desc
limit %(limit)s

-- name: acknowledge
-- All up to here is done. An older acknowledgement changes nothing: one that was repeated,
-- or was overtaken. The row's lock puts it before or after a seek, never between.
update consumer_positions
set position = %(position)s, moved_at = clock_timestamp()
where tenant_id = %(tenant_id)s and name = %(name)s and position < %(position)s
