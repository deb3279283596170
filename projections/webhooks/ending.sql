-- name: cancel_owed
-- Some of what a lane is owed becomes cancelled; how much: all of a deleted webhook's and a
-- cancelled replay's, or what a webhook was told to skip. What is on the wire is left: it
-- settles, and if it would wait again it is found here. Spared is, in the lane of a replay,
-- what was asked for by hand.
with mine as (
    select tenant_id, webhook_id, replay, sent_through from lanes
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and replay = %(replay)s and epoch = %(epoch)s
    for no key update
),
gone as (
    delete from owed o
    using mine m
    where o.tenant_id = m.tenant_id and o.webhook_id = m.webhook_id
        and o.replay = m.replay
        and o.position in (
            select q.position from owed q, mine m
            where q.tenant_id = %(tenant_id)s and q.webhook_id = %(webhook_id)s
                and q.replay = %(replay)s and q.position <= %(through)s
                and not (%(spares)s and (q.once or q.base > 0))
                and (q.next_attempt_at is not null or q.held_at is not null
                     or (q.attempts = 0
                         and (q.stream is not null or q.position > m.sent_through)))
            order by q.position limit 5000)
        -- Once more, of the row as it is once its lock is ours: it may just have left.
        and (o.next_attempt_at is not null or o.held_at is not null
             or (o.attempts = 0
                 and (o.stream is not null or o.position > m.sent_through)))
    returning o.tenant_id, o.position, o.webhook_id, o.replay, o.recorded_at, o.sequence,
        o.webhook_version, o.attempts, o.status_code, o.error
),
kept as (
    insert into results (
        tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version,
        state, attempts, status_code, error, finished_at)
    select tenant_id, position, webhook_id, replay, recorded_at, sequence,
        webhook_version, 'cancelled', attempts, status_code, error, clock_timestamp()
    from gone
    returning 1
)
select count(*) as cancelled from kept

-- name: still_owed
-- What is left in a lane, and of it what was not asked for by hand, where that matters.
-- asked: the count by which the lane may be ended, if nothing is left (see 0019).
select l.asked,
    exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay) as anything,
    %(spares)s and exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay and not (o.once or o.base > 0)) as ordinary
from lanes l
where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s
    and l.replay = %(replay)s and l.epoch = %(epoch)s

-- name: end_lane
-- The lane of a deleted webhook, empty when it was looked at, ends once the handoff has
-- passed the deletion, so that no row can come after it. Those of its replays end before
-- it: only with it does another worker take them.
delete from lanes l
where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s
    and l.replay = %(replay)s and l.epoch = %(epoch)s and l.asked = %(asked)s
    and not exists (
        select from lanes r
        where r.tenant_id = l.tenant_id and r.webhook_id = l.webhook_id and r.replay > 0)
    and (select log_position from checkpoints where name = 'deliveries') >= (
        select e.log_position from events e
        where e.tenant_id = %(tenant_id)s and e.stream = %(stream)s
        order by e.version desc limit 1)
returning l.webhook_id

-- name: end_replay_lane
-- The lane of a replay that has ended, empty when it was looked at.
delete from lanes l
using replays r
where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s
    and l.replay = %(replay)s and l.epoch = %(epoch)s and l.asked = %(asked)s
    and r.tenant_id = l.tenant_id and r.webhook_id = l.webhook_id and r.replay = l.replay
    and r.state <> 'running'
returning l.webhook_id

-- name: end_skipping
-- All that was to be skipped is cancelled, and no more of it can come: the handoff is past
-- that place. Whatever is owed up to there was asked for by hand since; so what has begun,
-- or ended, is never beyond sent_through, which readers rely on.
update lanes l
set skip_through = 0, sent_through = greatest(l.sent_through, l.skip_through)
where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s and l.replay = 0
    and l.epoch = %(epoch)s and l.skip_through = %(through)s
    and not exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id and o.replay = 0
            and o.position <= l.skip_through)
    and (select log_position from checkpoints where name = 'deliveries') >= (
        select e.log_position from events e
        where e.tenant_id = l.tenant_id and e.position = l.skip_through)
returning l.webhook_id

-- name: let_go
-- The webhook goes on behind dead deliveries by now: those that held their streams are
-- finished.
with mine as (
    select tenant_id, webhook_id, replay from lanes
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and replay = %(replay)s and epoch = %(epoch)s
    for share
),
gone as (
    delete from owed o
    using mine m
    where o.tenant_id = m.tenant_id and o.webhook_id = m.webhook_id
        and o.replay = m.replay and o.held_at is not null
    returning o.*
),
kept as (
    insert into results (
        tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version,
        state, attempts, status_code, error, finished_at)
    select tenant_id, position, webhook_id, replay, recorded_at, sequence,
        webhook_version, 'dead', attempts, status_code, error, held_at
    from gone
),
counted as (
    update replays r
    set dead = dead + (select count(*) from gone)
    where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
        and r.replay = %(replay)s
)
select count(*) as gone from gone

-- name: free_streams
-- What waits in its stream behind nothing is due. A statement of its own, after let_go and
-- whether or not that found anything: its answer may have been lost.
update owed o
set next_attempt_at = clock_timestamp()
from lanes l
where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s
    and l.replay = %(replay)s and l.epoch = %(epoch)s
    and o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id and o.replay = l.replay
    and o.stream is not null and o.next_attempt_at = 'infinity'
    and not exists (
        select from owed b
        where b.tenant_id = o.tenant_id and b.webhook_id = o.webhook_id
            and b.replay = o.replay and b.stream = o.stream and b.position < o.position)
returning o.position
