-- name: replay_work
-- A replay as its lane's owner goes about it, and how many of its rows wait to be sent.
select r.replay_id, r.state, r.kind, r.from_position, r.to_position, r.patterns, r.streams,
    r.filter, r.only_failed, r.cursor, r.handed_off, r.succeeded, r.dead,
    (select count(*) from (
        select from owed o
        where o.tenant_id = r.tenant_id and o.webhook_id = r.webhook_id
            and o.replay = r.replay
        limit %(ahead)s) q) as owed
from replays r
where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
    and r.replay = %(replay)s

-- name: replay_candidates
-- The events of a piece of the log that a replay may owe: of its types, in its streams, and
-- if it is for failed ones only, never delivered before. Positions are dense, so a piece
-- is a range of the key. Daybook's own are named by patterns that begin with daybook.
select e.position, e.type, e.stream, e.source, e.subject, e.actor, e.state, e.metadata
from events e
where e.tenant_id = %(tenant_id)s and e.position > %(after)s and e.position <= %(through)s
    and (e.type = any(%(types)s::text[])
        or e.type ~ any(%(prefixes)s::text[])
        or (%(everything)s and not starts_with(e.type, 'daybook.')))
    and e.stream <> %(own_stream)s and not starts_with(e.stream, %(own_stream)s || '/')
    and (not %(only_failed)s or not exists (
        select from results r
        where r.tenant_id = e.tenant_id and r.webhook_id = %(webhook_id)s
            and r.position = e.position and r.state = 'succeeded'))
order by e.position

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
