-- name: is_posted
-- Whether a projection has come as far as this event; one that is still to come is not.
select %(position)s = 0 or exists (
    select from events
    where tenant_id = %(tenant_id)s and position = %(position)s
        and log_position <= posted_through(%(projection)s)) as is_posted

-- name: head
-- The last position of the tenant's log; 0 when it is empty.
select coalesce((
    select position from events where tenant_id = %(tenant_id)s
    order by position desc limit 1), 0) as head

-- name: first_since
-- The first position up to `last` recorded at or after a moment, else last + 1. Times
-- never go back from one position to the next, so halving finds it: 30 look-ups in a log
-- of a thousand million events, whatever the filters.
with recursive span (low, high) as (
    select 0::bigint, %(last)s::bigint + 1
    union all
    select
        case when e.recorded_at < %(moment)s then e.position else s.low end,
        case when e.recorded_at < %(moment)s then s.high else e.position end
    from span s
    cross join lateral (  -- one look-up a step; a join would be planned for many
        select position, recorded_at from events
        where tenant_id = %(tenant_id)s and position = (s.low + s.high) / 2
        limit 1) e
    where s.high - s.low > 1
)
select min(high) as position from span

-- name: position_as_of
-- The last position up to `last` recorded at or before a moment, or 0; found like the first.
with recursive span (low, high) as (
    select 0::bigint, %(last)s::bigint + 1
    union all
    select
        case when e.recorded_at <= %(moment)s then e.position else s.low end,
        case when e.recorded_at <= %(moment)s then s.high else e.position end
    from span s
    cross join lateral (  -- one look-up a step; a join would be planned for many
        select position, recorded_at from events
        where tenant_id = %(tenant_id)s and position = (s.low + s.high) / 2
        limit 1) e
    where s.high - s.low > 1
)
select max(low) as position from span

-- name: version_as_of
-- A stream's version at a position: the last one that stands no further on. Versions and
-- positions grow together, so halving finds it, however long the stream is.
with recursive span (low, high) as (
    select 0::bigint, coalesce((
        select version from events
        where tenant_id = %(tenant_id)s and stream = %(stream)s
        order by version desc limit 1), 0) + 1
    union all
    select
        case when e.position <= %(position)s then e.version else s.low end,
        case when e.position <= %(position)s then s.high else e.version end
    from span s
    join events e on e.tenant_id = %(tenant_id)s and e.stream = %(stream)s
        and e.version = (s.low + s.high) / 2
    where s.high - s.low > 1
)
select max(low) as version from span

-- name: types_within
-- The types of the tenant's events that lie in the ranges, in order, up to a limit. Jumps
-- from one type to the next in the index: it grows with the number of types, not of events.
with recursive seen (low, high, type) as (
    select r.low, r.high, (
        select e.type from events e
        where e.tenant_id = %(tenant_id)s and e.type ~>=~ r.low and e.type ~<~ r.high
        order by e.type using ~<~ limit 1)
    from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
    union all
    select s.low, s.high, (
        select e.type from events e
        where e.tenant_id = %(tenant_id)s and e.type ~>~ s.type and e.type ~<~ s.high
        order by e.type using ~<~ limit 1)
    from seen s
    where s.type is not null
)
select type from seen where type is not null limit %(limit)s

-- name: positions_forwards
-- A page of positions by one walk along the log: for filters that most events pass. It
-- grows with the number of events that are passed over.
select e.position
from events e
where e.tenant_id = %(tenant_id)s
    and e.position > %(after)s and e.position < %(before)s
    and exists (
        select from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
        where e.type ~>=~ r.low and e.type ~<~ r.high)
    and (%(stream_lows)s::text[] is null or exists (
        select from unnest(%(stream_lows)s::text[], %(stream_highs)s::text[])
            as r (low, high)
        where e.stream ~>=~ r.low and e.stream ~<~ r.high))
    and (%(subject)s::text is null or e.subject = %(subject)s)
order by e.position
limit %(limit)s

-- name: positions_backwards
-- The same, newest first.
select e.position
from events e
where e.tenant_id = %(tenant_id)s
    and e.position > %(after)s and e.position < %(before)s
    and exists (
        select from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
        where e.type ~>=~ r.low and e.type ~<~ r.high)
    and (%(stream_lows)s::text[] is null or exists (
        select from unnest(%(stream_lows)s::text[], %(stream_highs)s::text[])
            as r (low, high)
        where e.stream ~>=~ r.low and e.stream ~<~ r.high))
    and (%(subject)s::text is null or e.subject = %(subject)s)
order by e.position desc
limit %(limit)s

-- name: positions_of_types_forwards
-- The same for a few types: a page of each from the index, merged. However rare a type is,
-- and wherever in the log, it costs the page times the types.
select f.position
from unnest(%(types)s::text[]) as t (type)
cross join lateral (
    select e.position from events e
    where e.tenant_id = %(tenant_id)s and e.type = t.type
        and e.position > %(after)s and e.position < %(before)s
        and (%(stream_lows)s::text[] is null or exists (
            select from unnest(%(stream_lows)s::text[], %(stream_highs)s::text[])
                as r (low, high)
            where e.stream ~>=~ r.low and e.stream ~<~ r.high))
        and (%(subject)s::text is null or e.subject = %(subject)s)
    order by e.position
    limit %(limit)s) f
order by f.position
limit %(limit)s

-- name: positions_of_types_backwards
-- The same, newest first.
select f.position
from unnest(%(types)s::text[]) as t (type)
cross join lateral (
    select e.position from events e
    where e.tenant_id = %(tenant_id)s and e.type = t.type
        and e.position > %(after)s and e.position < %(before)s
        and (%(stream_lows)s::text[] is null or exists (
            select from unnest(%(stream_lows)s::text[], %(stream_highs)s::text[])
                as r (low, high)
            where e.stream ~>=~ r.low and e.stream ~<~ r.high))
        and (%(subject)s::text is null or e.subject = %(subject)s)
    order by e.position desc
    limit %(limit)s) f
order by f.position desc
limit %(limit)s

-- name: positions_of_streams_forwards
-- The same for a few streams by name; within a stream versions rise with positions. Grows
-- with the length of these streams, not with the log.
select f.position
from unnest(%(streams)s::text[]) as s (stream)
cross join lateral (
    select e.position from events e
    where e.tenant_id = %(tenant_id)s and e.stream = s.stream
        and e.position > %(after)s and e.position < %(before)s
        and exists (
            select from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
            where e.type ~>=~ r.low and e.type ~<~ r.high)
        and (%(subject)s::text is null or e.subject = %(subject)s)
    order by e.version
    limit %(limit)s) f
order by f.position
limit %(limit)s

-- name: positions_of_streams_backwards
-- The same, newest first.
select f.position
from unnest(%(streams)s::text[]) as s (stream)
cross join lateral (
    select e.position from events e
    where e.tenant_id = %(tenant_id)s and e.stream = s.stream
        and e.position > %(after)s and e.position < %(before)s
        and exists (
            select from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
            where e.type ~>=~ r.low and e.type ~<~ r.high)
        and (%(subject)s::text is null or e.subject = %(subject)s)
    order by e.version desc
    limit %(limit)s) f
order by f.position desc
limit %(limit)s

-- name: events_at
-- The events at these positions.
select event_id, position, type, stream, version, source, source_id, subject, state,
    metadata, actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from events
where tenant_id = %(tenant_id)s and position = any(%(positions)s::bigint[])

-- name: event
-- One event, by its id.
select event_id, position, type, stream, version, source, source_id, subject, state,
    metadata, actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from events
where tenant_id = %(tenant_id)s and event_id = %(event_id)s

-- name: deliveries_of_event
-- What became of one event, the newest deliveries first: of later replays, then the live
-- ones; as far as they are kept.
select position, number, replay, webhook_id, state
from deliveries
where tenant_id = %(tenant_id)s and position = %(position)s
    and (is_owed or finished_at >= (select kept_since(%(tenant_id)s)))
order by created_at desc, number desc
limit %(limit)s

-- name: recorded
-- The next events of one type after a position, from its index.
select event_id, position, state from events
where tenant_id = %(tenant_id)s and type = %(type)s and position > %(after)s
order by position
limit %(limit)s

-- name: catalogue_head
-- Where the tenant's catalogue was changed last; 0 when it never was.
select coalesce((
    select position from catalogue_heads where tenant_id = %(tenant_id)s), 0) as head

-- name: known
-- Which of these entries have an id that is in the log already.
select r.number
from unnest(
    %(numbers)s::int[], %(event_ids)s::text[], %(sources)s::text[], %(source_ids)s::text[])
    as r (number, event_id, source, source_id)
where exists (
        select from events e
        where e.tenant_id = %(tenant_id)s and e.event_id = r.event_id)
    or exists (
        select from events e
        where e.tenant_id = %(tenant_id)s and e.source = r.source
            and e.source_id = r.source_id)

-- name: undeclared_types
-- Which of these types nobody in the tenant has declared.
select t.type
from unnest(%(types)s::text[]) as t (type)
where not exists (
    select from event_types d where d.tenant_id = %(tenant_id)s and d.type = t.type)
