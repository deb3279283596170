-- name: log
-- The last position of the tenant's log, 0 when it is empty; and which log this is.
select coalesce((
        select position from events where tenant_id = %(tenant_id)s
        order by position desc limit 1), 0) as head,
    (select id::text from log_incarnation) as incarnation

-- name: streams_forwards
-- A page of streams by name, as the read model has them.
select stream, version, position, updated_at
from stream_heads
where tenant_id = %(tenant_id)s and generation = live_generation('streams')
    and stream >= %(low)s and stream < %(high)s
order by stream
limit %(limit)s

-- name: streams_backwards
-- The same, backwards.
select stream, version, position, updated_at
from stream_heads
where tenant_id = %(tenant_id)s and generation = live_generation('streams')
    and stream >= %(low)s and stream < %(high)s
order by stream desc
limit %(limit)s

-- name: names_as_of_forwards
-- A page of the streams that had begun at a position. Their names come from the read model,
-- which has an order to walk by, and from the part of the log that it has not read yet.
-- Grows with the page, the streams passed over that began later, and the model's lag. (The
-- beginning is looked up stream by stream, with the collation of the index; an `exists`
-- becomes a join with all events.)
(select h.stream
 from stream_heads h
 where h.tenant_id = %(tenant_id)s and h.generation = live_generation('streams')
    and h.stream >= %(low)s and h.stream < %(high)s
    and (
        select e.position from events e
        where e.tenant_id = %(tenant_id)s and e.version = 1
            and e.stream = h.stream collate "default") <= %(position)s
 order by h.stream
 limit %(limit)s)
union
(select distinct e.stream collate "C"
 from events e
 where e.tenant_id = %(tenant_id)s and e.log_position > posted_through('streams')
    and e.position <= %(position)s
    and e.stream collate "C" >= %(low)s and e.stream collate "C" < %(high)s
 order by 1
 limit %(limit)s)
order by stream
limit %(limit)s

-- name: names_as_of_backwards
-- The same, backwards.
(select h.stream
 from stream_heads h
 where h.tenant_id = %(tenant_id)s and h.generation = live_generation('streams')
    and h.stream >= %(low)s and h.stream < %(high)s
    and (
        select e.position from events e
        where e.tenant_id = %(tenant_id)s and e.version = 1
            and e.stream = h.stream collate "default") <= %(position)s
 order by h.stream desc
 limit %(limit)s)
union
(select distinct e.stream collate "C"
 from events e
 where e.tenant_id = %(tenant_id)s and e.log_position > posted_through('streams')
    and e.position <= %(position)s
    and e.stream collate "C" >= %(low)s and e.stream collate "C" < %(high)s
 order by 1 desc
 limit %(limit)s)
order by stream desc
limit %(limit)s

-- name: heads_as_of
-- Where each of these streams was at a position, from its events: versions and positions
-- grow together, so halving finds the last version, however long the stream is.
select e.stream, e.version, e.position, e.recorded_at as updated_at
from unnest(%(streams)s::text[]) as s (stream)
cross join lateral (
    with recursive span (low, high) as (
        select 0::bigint, coalesce((
            select version from events
            where tenant_id = %(tenant_id)s and stream = s.stream
            order by version desc limit 1), 0) + 1
        union all
        select
            case when m.position <= %(position)s then m.version else span.low end,
            case when m.position <= %(position)s then span.high else m.version end
        from span
        join events m on m.tenant_id = %(tenant_id)s and m.stream = s.stream
            and m.version = (span.low + span.high) / 2
        where span.high - span.low > 1
    )
    select max(low) as version from span) v
join events e on e.tenant_id = %(tenant_id)s and e.stream = s.stream
    and e.version = v.version

-- name: stream_events_forwards
-- A page of a stream's events.
select event_id, position, type, stream, version, source, source_id, subject, state,
    metadata, actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from events
where tenant_id = %(tenant_id)s and stream = %(stream)s
    and version > %(after)s and version < %(before)s
order by version
limit %(limit)s

-- name: stream_events_backwards
-- The same, newest first.
select event_id, position, type, stream, version, source, source_id, subject, state,
    metadata, actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from events
where tenant_id = %(tenant_id)s and stream = %(stream)s
    and version > %(after)s and version < %(before)s
order by version desc
limit %(limit)s
