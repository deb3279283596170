-- name: replay_work
-- A replay as its lane's owner goes about it, and how many of its rows wait to be sent.
select r.replay_id, r.state, r.kind, r.from_position, r.to_position, r.patterns, r.streams,
    r.filter::text as filter, r.only_failed, r.cursor, r.handed_off, r.succeeded, r.dead,
    (select count(*) from (
        select from owed o
        where o.tenant_id = r.tenant_id and o.webhook_id = r.webhook_id
            and o.replay = r.replay
        limit %(ahead)s) q) as owed
from replays r
where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
    and r.replay = %(replay)s

-- name: hand_off_replay
-- What a replay owes of the piece it has looked at, and the place it has come to: in one
-- transaction, from exactly the place where it was. So a piece that is said twice, after a
-- lost connection or by a former owner, is owed once.
with mine as (
    select tenant_id, webhook_id, replay from lanes
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and replay = %(replay)s and epoch = %(epoch)s
    for share
),
moved as (
    update replays r
    set cursor = %(through)s, handed_off = r.handed_off + cardinality(%(positions)s::bigint[])
    from mine m
    where r.tenant_id = m.tenant_id and r.webhook_id = m.webhook_id
        and r.replay = m.replay and r.cursor = %(after)s and r.state = 'running'
    returning r.tenant_id, r.webhook_id, r.replay, r.webhook_version
),
inserted as (
    insert into owed (
        tenant_id, webhook_id, replay, position, recorded_at, webhook_version, trigger,
        stream)
    select m.tenant_id, m.webhook_id, m.replay, e.position, e.recorded_at,
        m.webhook_version, 'replay',
        case when w.ordering = 'stream' then e.stream end
    from moved m
    join webhooks w using (tenant_id, webhook_id)
    join events e on e.tenant_id = m.tenant_id
        and e.position = any(%(positions)s::bigint[])
    order by e.position
)
select count(*) as moved from moved

-- name: replay_choice
-- What a replay that is asked for now would choose events by.
select event_types, streams, filter::text as filter from webhooks
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and state <> 'deleted'

-- name: replay
-- One replay, as the API shows it.
select webhook_id, replay, replay_id, state, from_position, to_position, event_types,
    only_failed, planned, handed_off, succeeded, dead, cursor, created_at, finished_at
from replays
where tenant_id = %(tenant_id)s and replay_id = %(replay_id)s

-- name: replays
-- A page of a webhook's replays, newest first.
select webhook_id, replay, replay_id, state, from_position, to_position, event_types,
    only_failed, planned, handed_off, succeeded, dead, cursor, created_at, finished_at
from replays
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
    and replay < coalesce(%(key)s::int, 2147483647)
order by replay desc
limit %(limit)s

-- name: replays_newer
-- The page before, nearest first.
select webhook_id, replay, replay_id, state, from_position, to_position, event_types,
    only_failed, planned, handed_off, succeeded, dead, cursor, created_at, finished_at
from replays
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and replay > %(key)s
order by replay
limit %(limit)s
