-- name: open_lanes
-- The lanes of what is asked for by hand; that of a replay which has ended is made again.
-- Counts the asking before anything is owed, so that nobody ends a lane meanwhile.
insert into lanes (tenant_id, webhook_id, replay)
select w.tenant_id, w.webhook_id, r.replay
from webhooks w cross join unnest(%(replays)s::int[]) as r (replay)
where w.tenant_id = %(tenant_id)s and w.webhook_id = %(webhook_id)s
    and w.state <> 'deleted'
order by r.replay
on conflict (tenant_id, webhook_id, replay) do update set asked = lanes.asked + 1

-- name: retry_waiting
-- A delivery that waits for a retry is due now. No row when it waits no more, or its
-- webhook sends nothing.
update owed o
set next_attempt_at = clock_timestamp(), trigger = 'retry'
from webhooks w
where o.tenant_id = %(tenant_id)s and o.webhook_id = %(webhook_id)s
    and o.replay = %(replay)s and o.position = %(position)s
    and o.next_attempt_at is not null
    and w.tenant_id = o.tenant_id and w.webhook_id = o.webhook_id and w.state = 'active'
returning o.position

-- name: retry_held
-- A dead delivery that holds its stream is owed one more attempt.
update owed o
set held_at = null, next_attempt_at = clock_timestamp(), trigger = 'retry', once = true,
    base = o.attempts
from webhooks w
where o.tenant_id = %(tenant_id)s and o.webhook_id = %(webhook_id)s
    and o.replay = %(replay)s and o.position = %(position)s and o.held_at is not null
    and w.tenant_id = o.tenant_id and w.webhook_id = o.webhook_id and w.state = 'active'
returning o.position

-- name: retry_finished
-- A finished delivery is owed one more attempt; its attempts are counted on, and its
-- replay has finished one less.
with taken as (
    delete from results r
    using webhooks w
    where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
        and r.replay = %(replay)s and r.position = %(position)s
        and w.tenant_id = r.tenant_id and w.webhook_id = r.webhook_id
        and w.state = 'active'
    returning r.*
),
counted as (
    update replays j
    set succeeded = j.succeeded - (t.state = 'succeeded')::int,
        dead = j.dead - (t.state = 'dead')::int
    from taken t
    where j.tenant_id = t.tenant_id and j.webhook_id = t.webhook_id
        and j.replay = t.replay
)
insert into owed (
    tenant_id, webhook_id, replay, position, recorded_at, sequence, webhook_version,
    attempts, base, trigger, once, next_attempt_at, status_code, error)
select tenant_id, webhook_id, replay, position, recorded_at, sequence, webhook_version,
    attempts, attempts, 'retry', true, clock_timestamp(), status_code, error
from taken
returning position

-- name: began_at
-- When a redrive begins: what dies after it is not its business, or one whose deliveries
-- die again at once would never end.
select clock_timestamp() as began_at

-- name: dead_code
-- The next status that dead deliveries of a webhook ended with; 0 is none. One look in an
-- index.
select code_of(r.status_code) as code
from results r
where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s and r.state = 'dead'
    and code_of(r.status_code) > %(code)s
order by code_of(r.status_code)
limit 1

-- name: dead_letters
-- The next dead deliveries of a webhook that ended with one status, from a position on, and
-- whether each is meant. They are looked at in the order of the index by outcome, and judged
-- then: so a step costs its own rows, however many there are. (Judged where they are found,
-- the planner takes them for few, and sorts them all for each step.)
select r.position, r.replay,
    r.finished_at <= %(began_at)s and r.finished_at >= (select kept_since(%(tenant_id)s))
        and (%(since)s::timestamptz is null
            or coalesce(j.created_at, r.recorded_at) >= %(since)s)
        and (%(until)s::timestamptz is null
            or coalesce(j.created_at, r.recorded_at) < %(until)s) as is_meant
from (
    select r.position, r.replay, r.recorded_at, r.finished_at
    from results r
    where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
        and r.state = 'dead' and code_of(r.status_code) = %(code)s
        and r.position >= %(position)s
    order by r.position
    limit %(most)s) r
left join replays j on j.tenant_id = %(tenant_id)s and j.webhook_id = %(webhook_id)s
    and j.replay = r.replay
order by r.position

-- name: redrive
-- These dead deliveries are owed again: the same ones, attempts counted on, the schedule
-- from its beginning. Those that are dead no more, or kept no longer, are left as they are.
with wanted as (
    select * from unnest(%(positions)s::bigint[], %(replays)s::int[])
        as w (position, replay)
),
taken as (
    delete from results r
    using wanted w
    where r.tenant_id = %(tenant_id)s and r.webhook_id = %(webhook_id)s
        and r.position = w.position and r.replay = w.replay and r.state = 'dead'
        and r.finished_at >= (select kept_since(%(tenant_id)s))
    returning r.*
),
counted as (
    update replays j
    set dead = j.dead - t.count
    from (select replay, count(*) from taken group by replay) t
    where j.tenant_id = %(tenant_id)s and j.webhook_id = %(webhook_id)s
        and j.replay = t.replay
),
owed_again as (
    insert into owed (
        tenant_id, webhook_id, replay, position, recorded_at, sequence, webhook_version,
        attempts, base, trigger, next_attempt_at, status_code, error)
    select tenant_id, webhook_id, replay, position, recorded_at, sequence,
        webhook_version, attempts, attempts, 'redrive', clock_timestamp(), status_code,
        error
    from taken
    returning 1
)
select count(*) as count from owed_again

-- name: held_lanes
-- The lanes of a webhook in which dead deliveries hold their streams.
select distinct replay from owed
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and held_at is not null

-- name: redrive_held
-- Some of those that hold their streams are due again, at most so many in one statement.
with released as (
    update owed o
    set held_at = null, next_attempt_at = clock_timestamp(), trigger = 'redrive',
        base = o.attempts, once = false
    where o.tenant_id = %(tenant_id)s and o.webhook_id = %(webhook_id)s
        and (o.replay, o.position) in (
            select q.replay, q.position
            from owed q
            join events e using (tenant_id, position)
            left join replays j using (tenant_id, webhook_id, replay)
            where q.tenant_id = %(tenant_id)s and q.webhook_id = %(webhook_id)s
                and q.held_at <= %(began_at)s
                and (%(since)s::timestamptz is null
                    or coalesce(j.created_at, e.recorded_at) >= %(since)s)
                and (%(until)s::timestamptz is null
                    or coalesce(j.created_at, e.recorded_at) < %(until)s)
                and (%(positions)s::bigint[] is null or (q.replay, q.position) in (
                    select * from unnest(%(replays)s::int[], %(positions)s::bigint[])))
            limit %(most)s)
        and o.held_at is not null
    returning 1
)
select count(*) as count from released

-- name: poke
-- Tell the lane's owner that it cannot know this by itself.
insert into pokes (tenant_id, webhook_id) values (%(tenant_id)s, %(webhook_id)s)

-- name: notify_work
-- Wakes the workers that send. A hint, without data.
notify daybook_work
