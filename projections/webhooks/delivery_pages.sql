-- name: page_older
-- A page of deliveries below a key, the nearest first, by position, replay and webhook. In
-- one statement, whose one snapshot has each delivery once, in `owed` or in `results`:
-- finished ones by one of three ways, and of each lane the next that is owed; a page of
-- each, merged, and then read. Grows with the page times the outcomes and lanes there are.
--   groups   by webhook, state or status: the (webhook, state, status) that there are, each
--            found by one step in the index, and a page of each
--   log      along the log, or at some positions of it
--   (else)   of some replays only: `webhooks` and `replays`, which are looked at in any case
-- first, last bound live ones. begun, cancelled, held: all states that are asked for are
-- such, so that the others are not walked over. The best plan depends on what is asked for.
with recursive groups (webhook_id, state, code) as (
    (select r.webhook_id, r.state, code_of(r.status_code)
     from results r
     where %(way)s = 'groups' and r.tenant_id = %(tenant_id)s
        and (%(webhook_id)s::uuid is null or r.webhook_id = %(webhook_id)s)
     order by r.webhook_id, r.state, code_of(r.status_code)
     limit 1)
    union all
    select n.webhook_id, n.state, n.code
    from groups g
    cross join lateral (
        select r.webhook_id, r.state, code_of(r.status_code) as code
        from results r
        where r.tenant_id = %(tenant_id)s
            and (r.webhook_id, r.state, code_of(r.status_code))
                > (g.webhook_id, g.state, g.code)
        order by r.webhook_id, r.state, code_of(r.status_code)
        limit 1) n
    where %(webhook_id)s::uuid is null or n.webhook_id = %(webhook_id)s
),
finished as (
    select f.position, f.replay, f.webhook_id
    from groups g
    cross join lateral (
        select r.position, r.replay, r.webhook_id
        from results r
        where r.tenant_id = %(tenant_id)s and r.webhook_id = g.webhook_id
            and r.state = g.state and code_of(r.status_code) = g.code
            and r.position between %(first)s and %(last)s
            and (%(every_replay)s or r.replay = 0)
            and r.finished_at >= (select kept_since(%(tenant_id)s))
            and (r.position, r.replay, r.webhook_id)
                < (%(key_position)s, %(key_replay)s, %(key_webhook)s)
        order by r.position desc, r.replay desc
        limit %(limit)s) f
    where (%(states)s::text[] is null or g.state = any(%(states)s::text[]))
        and (%(status_code)s::int is null or g.code = %(status_code)s)
    union all
    (select r.position, r.replay, r.webhook_id
     from results r
     where %(way)s = 'log' and r.tenant_id = %(tenant_id)s
        and r.position between %(first)s and %(last)s
        and (%(positions)s::bigint[] is null or r.position = any(%(positions)s::bigint[]))
        and (%(webhook_id)s::uuid is null or r.webhook_id = %(webhook_id)s)
        and (%(every_replay)s or r.replay = 0)
        and (%(states)s::text[] is null or r.state = any(%(states)s::text[]))
        and (%(status_code)s::int is null or r.status_code = %(status_code)s)
        and r.finished_at >= (select kept_since(%(tenant_id)s))
        and (r.position, r.replay, r.webhook_id)
            < (%(key_position)s, %(key_replay)s, %(key_webhook)s)
     order by r.position desc, r.replay desc, r.webhook_id desc
     limit %(limit)s)
    union all
    select f.position, f.replay, f.webhook_id
    from unnest(%(webhooks)s::uuid[], %(replays)s::int[]) as j (webhook_id, replay)
    cross join lateral (
        select r.position, r.replay, r.webhook_id
        from results r
        where r.tenant_id = %(tenant_id)s and r.webhook_id = j.webhook_id
            and r.replay = j.replay and r.replay > 0
            and r.position <= %(key_position)s
            and (%(positions)s::bigint[] is null
                or r.position = any(%(positions)s::bigint[]))
            and (%(states)s::text[] is null or r.state = any(%(states)s::text[]))
            and (%(status_code)s::int is null or r.status_code = %(status_code)s)
            and r.finished_at >= (select kept_since(%(tenant_id)s))
            and (r.position, r.replay, r.webhook_id)
                < (%(key_position)s, %(key_replay)s, %(key_webhook)s)
        order by r.position desc
        limit %(limit)s) f
),
waiting as (
    select f.position, l.replay, l.webhook_id
    from lanes l
    join webhooks w using (tenant_id, webhook_id)
    left join replays j using (tenant_id, webhook_id, replay)
    cross join lateral (
        select o.position
        from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay
            and o.position >= case
                when l.replay = 0 or %(every_replay)s then %(first)s else 1 end
            and o.position <= least(
                case when l.replay = 0 or %(every_replay)s then %(last)s
                    else %(key_position)s end,
                case when %(begun)s and l.replay = 0
                    and not (%(or_cancelled)s and w.state = 'deleted')
                    then greatest(l.sent_through, l.skip_through) end,
                case when %(cancelled)s and w.state <> 'deleted' and l.replay = 0
                    then l.skip_through end)
            and (%(positions)s::bigint[] is null
                or o.position = any(%(positions)s::bigint[]))
            and (%(status_code)s::int is null or o.status_code = %(status_code)s)
            and (not %(held)s or o.held_at is not null)
            and (%(states)s::text[] is null or owed_state(
                w.state, j.state, o.once or o.base > 0, o.held_at is not null,
                o.next_attempt_at is not null, o.attempts, o.stream is not null,
                o.position, l.sent_through, l.skip_through) = any(%(states)s::text[]))
            and (o.position, l.replay, l.webhook_id)
                < (%(key_position)s, %(key_replay)s, %(key_webhook)s)
        order by o.position desc
        limit %(limit)s) f
    where l.tenant_id = %(tenant_id)s
        and (%(webhook_id)s::uuid is null or l.webhook_id = %(webhook_id)s)
        and case when l.replay = 0 then %(live)s
            else %(every_replay)s or (l.webhook_id, l.replay) in (
                select * from unnest(%(webhooks)s::uuid[], %(replays)s::int[])) end
),
page as (
    select position, replay, webhook_id from finished
    union all
    select position, replay, webhook_id from waiting
    order by position desc, replay desc, webhook_id desc
    limit %(limit)s
)
select d.position, d.number, d.webhook_id, d.replay, d.webhook_version, d.sequence, d.state,
    d.attempts, d.next_attempt_at, d.status_code, d.error, d.finished_at, d.event_id, d.type,
    d.stream, d.webhook_state, d.replay_id, d.created_at, d.is_owed
from page p
cross join lateral (
    select * from deliveries d
    where d.tenant_id = %(tenant_id)s and d.position = p.position
        and d.webhook_id = p.webhook_id and d.replay = p.replay
    limit 1) d
order by d.position desc, d.replay desc, d.webhook_id desc

-- name: page_newer
-- The same above a key.
with recursive groups (webhook_id, state, code) as (
    (select r.webhook_id, r.state, code_of(r.status_code)
     from results r
     where %(way)s = 'groups' and r.tenant_id = %(tenant_id)s
        and (%(webhook_id)s::uuid is null or r.webhook_id = %(webhook_id)s)
     order by r.webhook_id, r.state, code_of(r.status_code)
     limit 1)
    union all
    select n.webhook_id, n.state, n.code
    from groups g
    cross join lateral (
        select r.webhook_id, r.state, code_of(r.status_code) as code
        from results r
        where r.tenant_id = %(tenant_id)s
            and (r.webhook_id, r.state, code_of(r.status_code))
                > (g.webhook_id, g.state, g.code)
        order by r.webhook_id, r.state, code_of(r.status_code)
        limit 1) n
    where %(webhook_id)s::uuid is null or n.webhook_id = %(webhook_id)s
),
finished as (
    select f.position, f.replay, f.webhook_id
    from groups g
    cross join lateral (
        select r.position, r.replay, r.webhook_id
        from results r
        where r.tenant_id = %(tenant_id)s and r.webhook_id = g.webhook_id
            and r.state = g.state and code_of(r.status_code) = g.code
            and r.position between %(first)s and %(last)s
            and (%(every_replay)s or r.replay = 0)
            and r.finished_at >= (select kept_since(%(tenant_id)s))
            and (r.position, r.replay, r.webhook_id)
                > (%(key_position)s, %(key_replay)s, %(key_webhook)s)
        order by r.position, r.replay
        limit %(limit)s) f
    where (%(states)s::text[] is null or g.state = any(%(states)s::text[]))
        and (%(status_code)s::int is null or g.code = %(status_code)s)
    union all
    (select r.position, r.replay, r.webhook_id
     from results r
     where %(way)s = 'log' and r.tenant_id = %(tenant_id)s
        and r.position between %(first)s and %(last)s
        and (%(positions)s::bigint[] is null or r.position = any(%(positions)s::bigint[]))
        and (%(webhook_id)s::uuid is null or r.webhook_id = %(webhook_id)s)
        and (%(every_replay)s or r.replay = 0)
        and (%(states)s::text[] is null or r.state = any(%(states)s::text[]))
        and (%(status_code)s::int is null or r.status_code = %(status_code)s)
        and r.finished_at >= (select kept_since(%(tenant_id)s))
        and (r.position, r.replay, r.webhook_id)
            > (%(key_position)s, %(key_replay)s, %(key_webhook)s)
     order by r.position, r.replay, r.webhook_id
     limit %(limit)s)
    union all
    select f.position, f.replay, f.webhook_id
    from unnest(%(webhooks)s::uuid[], %(replays)s::int[]) as j (webhook_id, replay)
    cross join lateral (
        select r.position, r.replay, r.webhook_id
        from results r
        where r.tenant_id = %(tenant_id)s and r.webhook_id = j.webhook_id
            and r.replay = j.replay and r.replay > 0
            and r.position >= %(key_position)s
            and (%(positions)s::bigint[] is null
                or r.position = any(%(positions)s::bigint[]))
            and (%(states)s::text[] is null or r.state = any(%(states)s::text[]))
            and (%(status_code)s::int is null or r.status_code = %(status_code)s)
            and r.finished_at >= (select kept_since(%(tenant_id)s))
            and (r.position, r.replay, r.webhook_id)
                > (%(key_position)s, %(key_replay)s, %(key_webhook)s)
        order by r.position
        limit %(limit)s) f
),
waiting as (
    select f.position, l.replay, l.webhook_id
    from lanes l
    join webhooks w using (tenant_id, webhook_id)
    left join replays j using (tenant_id, webhook_id, replay)
    cross join lateral (
        select o.position
        from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay
            and o.position >= case
                when l.replay = 0 or %(every_replay)s then %(first)s
                else %(key_position)s end
            and o.position <= least(
                case when l.replay = 0 or %(every_replay)s then %(last)s
                    else 9223372036854775807 end,
                case when %(begun)s and l.replay = 0
                    and not (%(or_cancelled)s and w.state = 'deleted')
                    then greatest(l.sent_through, l.skip_through) end,
                case when %(cancelled)s and w.state <> 'deleted' and l.replay = 0
                    then l.skip_through end)
            and (%(positions)s::bigint[] is null
                or o.position = any(%(positions)s::bigint[]))
            and (%(status_code)s::int is null or o.status_code = %(status_code)s)
            and (not %(held)s or o.held_at is not null)
            and (%(states)s::text[] is null or owed_state(
                w.state, j.state, o.once or o.base > 0, o.held_at is not null,
                o.next_attempt_at is not null, o.attempts, o.stream is not null,
                o.position, l.sent_through, l.skip_through) = any(%(states)s::text[]))
            and (o.position, l.replay, l.webhook_id)
                > (%(key_position)s, %(key_replay)s, %(key_webhook)s)
        order by o.position
        limit %(limit)s) f
    where l.tenant_id = %(tenant_id)s
        and (%(webhook_id)s::uuid is null or l.webhook_id = %(webhook_id)s)
        and case when l.replay = 0 then %(live)s
            else %(every_replay)s or (l.webhook_id, l.replay) in (
                select * from unnest(%(webhooks)s::uuid[], %(replays)s::int[])) end
),
page as (
    select position, replay, webhook_id from finished
    union all
    select position, replay, webhook_id from waiting
    order by position, replay, webhook_id
    limit %(limit)s
)
select d.position, d.number, d.webhook_id, d.replay, d.webhook_version, d.sequence, d.state,
    d.attempts, d.next_attempt_at, d.status_code, d.error, d.finished_at, d.event_id, d.type,
    d.stream, d.webhook_state, d.replay_id, d.created_at, d.is_owed
from page p
cross join lateral (
    select * from deliveries d
    where d.tenant_id = %(tenant_id)s and d.position = p.position
        and d.webhook_id = p.webhook_id and d.replay = p.replay
    limit 1) d
order by d.position, d.replay, d.webhook_id

-- name: replays_between
-- The replays that were asked for in an interval; their deliveries were created then.
select webhook_id, replay from replays
where tenant_id = %(tenant_id)s
    and (%(webhook_id)s::uuid is null or webhook_id = %(webhook_id)s)
    and (%(since)s::timestamptz is null or created_at >= %(since)s)
    and (%(until)s::timestamptz is null or created_at < %(until)s)

-- name: patterns_owed
-- By which patterns, and where in the log, webhooks were ever owed events.
select pattern, min(from_position) as first, max(to_position) as last
from (
    select pattern, from_position, to_position from webhook_ranges
    where tenant_id = %(tenant_id)s
        and (%(webhook_id)s::uuid is null or webhook_id = %(webhook_id)s)
    union all
    select p.pattern, j.from_position, j.to_position
    from replays j cross join unnest(j.patterns) as p (pattern)
    where j.tenant_id = %(tenant_id)s
        and (%(webhook_id)s::uuid is null or j.webhook_id = %(webhook_id)s)) q
group by pattern
