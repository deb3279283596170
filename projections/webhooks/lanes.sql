-- name: lane_states
-- What a worker knows of its lanes before it looks at their rows. Seconds, not times: two
-- clocks are never compared. A lane that keeps an order is looked at further ahead. Dead
-- deliveries hold nothing in a replay: it would never be completed.
select l.tenant_id, l.webhook_id, l.replay, w.version, w.enabled_version,
    case when w.state <> 'active' or tenant_is_active(l.tenant_id)
        then w.state else 'suspended' end as state,
    w.max_in_flight, w.rate_per_second, w.disable_failures, w.disable_over_seconds,
    k.on_dead, j.state as replay_state, j.replay_id, j.created_at as replay_at, j.fresh_ids,
    l.skip_through, l.failures, l.opened_at is not null as is_open,
    extract(epoch from clock_timestamp() - l.failing_since)::float8 as failing_for,
    extract(epoch from d.next_attempt_at - clock_timestamp())::float8 as due_in,
    w.ordering = 'stream' or exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay and o.stream is not null) as is_ordered,
    k.on_dead = 'continue' and exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay and o.held_at is not null) as lets_go,
    j.state = 'cancelled' and exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay and not (o.once or o.base > 0)) as is_cancelling
from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[])
    as a (tenant_id, webhook_id, replay)
join lanes l using (tenant_id, webhook_id, replay)
join webhooks w using (tenant_id, webhook_id)
left join replays j using (tenant_id, webhook_id, replay)
cross join lateral (
    select case when j.kind = 'replay' then 'continue' else w.on_dead end as on_dead) k
left join lateral (
    select o.next_attempt_at from owed o
    where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
        and o.replay = l.replay and o.next_attempt_at < 'infinity'
    order by o.next_attempt_at limit 1) d on true

-- name: targets
-- Where requests of these webhooks go, and what they carry.
select w.tenant_id, w.webhook_id, w.number as webhook_number, w.version as webhook_version,
    w.url, w.retry, w.timeout_seconds, w.networks, w.keep_response, w.headers_version,
    h.key_id as headers_key_id, h.sealed as headers
from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[]) as a (tenant_id, webhook_id)
join webhooks w using (tenant_id, webhook_id)
left join webhook_headers h on h.tenant_id = w.tenant_id and h.webhook_id = w.webhook_id
    and h.version = w.headers_version

-- name: target_keys
-- The secrets these webhooks sign with, newest first: the current one and, for as long as
-- they overlap, those before it.
select s.tenant_id, s.webhook_id, s.scheme, s.version, s.key_id, s.sealed, s.expires_at
from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[]) as a (tenant_id, webhook_id)
join webhooks w using (tenant_id, webhook_id)
join webhook_secrets s using (tenant_id, webhook_id)
where s.scheme = any(w.signing)
    and (s.expires_at is null or s.expires_at > clock_timestamp())
order by s.version desc, s.scheme

-- name: first_attempts
-- The next rows of several lanes, in order, each lane as many as it has room for; and in
-- the same statement, before any of them leaves, sent_through is raised over them. A lane
-- whose epoch is another's by now gives nothing: the lock waits for the taker's commit,
-- then sees the new epoch. Lanes are locked in the order of their key, here and in settle,
-- so that the two, on their own connections, never wait for each other in a circle.
--
-- A row whose stream is kept in order is free when nothing of the stream is owed before
-- it; then its attempt is noted in the row. Otherwise it is put to wait, and `release`
-- finds it. The caller runs the two one after the other, never side by side: so a row that
-- is put to wait here, behind one that is finished meanwhile, is found. The lane looks at
-- `look` rows at most and begins `room` of them.
--
-- What is older than the webhook goes first where an order is kept. And what is to be
-- skipped is cancelled before anything new begins: sent_through could not tell the two apart.
with mine as materialized (
    select l.tenant_id, l.webhook_id, l.replay, l.epoch, l.sent_through, a.room, a.look,
        a.lane
    from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[],
        %(rooms)s::int[], %(looks)s::int[]) with ordinality
        as a (tenant_id, webhook_id, replay, epoch, room, look, lane)
    join lanes l using (tenant_id, webhook_id, replay, epoch)
    join webhooks w using (tenant_id, webhook_id)
    where w.state = 'active' and tenant_is_active(l.tenant_id)
        and l.skip_through = 0
        and (w.ordering = 'none' or l.replay > 0 or not exists (
            select from replays j
            where j.tenant_id = l.tenant_id and j.webhook_id = l.webhook_id
                and j.kind = 'start' and j.state = 'running'))
    order by l.tenant_id, l.webhook_id, l.replay
    for no key update of l
),
seen as materialized (
    select m.tenant_id, m.webhook_id, m.replay, m.epoch, m.room, m.lane, o.*,
        count(*) filter (where o.free) over (
            partition by m.tenant_id, m.webhook_id, m.replay order by o.position) as nth
    from mine m
    cross join lateral (
        select q.position, q.recorded_at, q.sequence, q.trigger, q.webhook_version, q.stream,
            q.stream is null or not exists (
                select from owed b
                where b.tenant_id = q.tenant_id and b.webhook_id = q.webhook_id
                    and b.replay = q.replay and b.stream = q.stream
                    and b.position < q.position) as free
        from owed q
        where q.tenant_id = m.tenant_id and q.webhook_id = m.webhook_id
            and q.replay = m.replay and q.position > m.sent_through
            and q.attempts = 0 and q.next_attempt_at is null
        order by q.position
        limit m.look) o
),
passed as materialized (
    select * from seen where nth <= room
),
raised as (
    update lanes l
    set sent_through = n.last
    from (
        select tenant_id, webhook_id, replay, epoch, max(position) as last
        from passed group by tenant_id, webhook_id, replay, epoch) n
    where l.tenant_id = n.tenant_id and l.webhook_id = n.webhook_id
        and l.replay = n.replay and l.epoch = n.epoch
    returning l.tenant_id, l.webhook_id, l.replay
),
marked as (
    update owed o
    set attempts = case when p.free then 1 else 0 end,
        next_attempt_at = case when not p.free then 'infinity'::timestamptz end
    from passed p
    where p.stream is not null and o.tenant_id = p.tenant_id
        and o.webhook_id = p.webhook_id and o.replay = p.replay
        and o.position = p.position
)
select p.lane, p.position, p.recorded_at, p.sequence, p.trigger,
    case when p.free then 1 else 0 end as number, 0 as base, false as once, v.format,
    p.stream as ordered, w.version as webhook_version,
    e.event_id, e.type, e.stream, e.version, e.state, e.metadata, e.source, e.source_id,
    e.subject, e.correlation_id, e.causation_id, e.occurred_at, e.trace,
    x.secret_fields
from passed p
join raised using (tenant_id, webhook_id, replay)
join webhooks w on w.tenant_id = p.tenant_id and w.webhook_id = p.webhook_id
join webhook_versions v on v.tenant_id = p.tenant_id and v.webhook_id = p.webhook_id
    and v.version = p.webhook_version
left join events e on p.free and e.tenant_id = p.tenant_id and e.position = p.position
left join secret_field_ranges x on x.tenant_id = e.tenant_id and x.type = e.type
    and x.from_position <= e.position and x.to_position >= e.position
order by p.tenant_id, p.webhook_id, p.replay, p.position

-- name: due_attempts
-- Retries whose time has come; before any leaves, its attempt number is raised. The lane
-- is locked in share mode, so a takeover waits until this is committed or sees nothing.
with mine as (
    select l.tenant_id, l.webhook_id, l.replay, l.skip_through, a.room, a.lane
    from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[],
        %(rooms)s::int[]) with ordinality
        as a (tenant_id, webhook_id, replay, epoch, room, lane)
    join lanes l using (tenant_id, webhook_id, replay, epoch)
    join webhooks w using (tenant_id, webhook_id)
    where w.state = 'active' and tenant_is_active(l.tenant_id)
    order by l.tenant_id, l.webhook_id, l.replay
    for share of l
),
due as materialized (
    select m.tenant_id, m.webhook_id, m.replay, m.lane, o.position
    from mine m
    cross join lateral (
        select q.position from owed q
        where q.tenant_id = m.tenant_id and q.webhook_id = m.webhook_id
            and q.replay = m.replay and q.next_attempt_at <= clock_timestamp()
            and q.position > m.skip_through
        order by q.next_attempt_at
        limit m.room) o
),
begun as (
    update owed o
    set attempts = o.attempts + 1, next_attempt_at = null
    from due d
    where o.tenant_id = d.tenant_id and o.webhook_id = d.webhook_id
        and o.replay = d.replay and o.position = d.position
        and o.next_attempt_at is not null
    returning d.lane, o.tenant_id, o.webhook_id, o.replay, o.position, o.recorded_at,
        o.sequence, o.trigger, o.attempts, o.base, o.once, o.stream as ordered,
        o.webhook_version
)
select b.lane, b.position, b.recorded_at, b.sequence, b.trigger, b.attempts as number,
    b.base, b.once, v.format, b.ordered, w.version as webhook_version,
    e.event_id, e.type, e.stream, e.version, e.state, e.metadata, e.source, e.source_id,
    e.subject, e.correlation_id, e.causation_id, e.occurred_at, e.trace,
    x.secret_fields
from begun b
join events e on e.tenant_id = b.tenant_id and e.position = b.position
left join secret_field_ranges x on x.tenant_id = e.tenant_id and x.type = e.type
    and x.from_position <= e.position and x.to_position >= e.position
join webhooks w on w.tenant_id = b.tenant_id and w.webhook_id = b.webhook_id
join webhook_versions v on v.tenant_id = b.tenant_id and v.webhook_id = b.webhook_id
    and v.version = b.webhook_version
order by b.tenant_id, b.webhook_id, b.replay, b.position

-- name: put_back
-- Attempts that began ahead of a slot, and of which no request was made: the rows are due as
-- they were, so nothing of them is counted.
with mine as (
    select l.tenant_id, l.webhook_id, l.replay, a.position, a.number
    from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[],
        %(positions)s::bigint[], %(numbers)s::int[])
        as a (tenant_id, webhook_id, replay, epoch, position, number)
    join lanes l using (tenant_id, webhook_id, replay, epoch)
    order by l.tenant_id, l.webhook_id, l.replay
    for share of l
)
update owed o
set attempts = m.number - 1, next_attempt_at = clock_timestamp()
from mine m
where o.tenant_id = m.tenant_id and o.webhook_id = m.webhook_id and o.replay = m.replay
    and o.position = m.position and o.next_attempt_at is null and o.held_at is null
    and greatest(o.attempts, 1) = m.number

-- name: release
-- Heads of these streams were finished: what waits next in each is due now.
with heads as (
    select h.tenant_id, h.webhook_id, h.replay, o.position
    from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(streams)s::text[])
        as h (tenant_id, webhook_id, replay, stream)
    cross join lateral (
        select q.position from owed q
        where q.tenant_id = h.tenant_id and q.webhook_id = h.webhook_id
            and q.replay = h.replay and q.stream = h.stream
        order by q.position limit 1) o
)
update owed o
set next_attempt_at = clock_timestamp()
from heads h
where o.tenant_id = h.tenant_id and o.webhook_id = h.webhook_id and o.replay = h.replay
    and o.position = h.position and o.next_attempt_at = 'infinity'
returning o.tenant_id, o.webhook_id, o.replay

-- name: settle
-- What came of attempts, many at once. Of a lane that is another's by now an attempt is
-- recorded as late and changes nothing else. Saying the same twice changes nothing: after
-- a lost connection the worker simply says it again. For that a row must still be in the
-- very attempt that is settled: it may have been asked for by hand in between.
--
-- made: whether a request was made at all; a delivery that is too old, or out of attempts
-- after lost workers, ends without one. tells: whether its death is to be told of.
with done as materialized (
    select * from json_to_recordset(%(settlements)s::json) as d (
        tenant_id uuid, webhook_id uuid, replay int, epoch bigint, position bigint,
        number int, recorded_at timestamptz, trigger text, outcome text,
        started_at timestamptz, duration_ms real, status_code int, error text, detail text,
        retry_after_seconds int, webhook_version int, secret_version int, body_bytes int,
        body_sha256 bytea, response_headers jsonb, response_bytes int, snippet_key_id text,
        snippet bytea, state text, delay real, made boolean, tells boolean)
),
held as (
    select l.tenant_id, l.webhook_id, l.replay, l.epoch
    from lanes l
    where (l.tenant_id, l.webhook_id, l.replay, l.epoch) in (
        select tenant_id, webhook_id, replay, epoch from done)
    order by l.tenant_id, l.webhook_id, l.replay
    for share of l
),
judged as materialized (
    select d.*, h.epoch is not null as ours
    from done d left join held h using (tenant_id, webhook_id, replay, epoch)
),
recorded as (
    insert into attempts (
        tenant_id, position, webhook_id, replay, number, recorded_at, trigger, outcome,
        started_at, duration_ms, status_code, error, detail, retry_after_seconds,
        webhook_version, secret_version, body_bytes, body_sha256, response_headers,
        response_bytes, snippet_key_id, snippet)
    select tenant_id, position, webhook_id, replay, number, recorded_at, trigger,
        case when ours then outcome else 'late' end, started_at, duration_ms, status_code,
        error, detail, retry_after_seconds, webhook_version, secret_version, body_bytes,
        body_sha256, response_headers, response_bytes, snippet_key_id, snippet
    from judged
    where made
    on conflict do nothing
),
waiting as (
    update owed o
    set attempts = j.number,
        next_attempt_at = case j.state
            when 'retrying' then clock_timestamp() + make_interval(secs => j.delay) end,
        held_at = case j.state when 'held' then clock_timestamp() end,
        trigger = 'schedule',
        status_code = case when j.made then j.status_code else o.status_code end,
        error = case when j.made then j.error else o.error end
    from judged j
    where j.ours and j.state in ('retrying', 'held') and o.tenant_id = j.tenant_id
        and o.webhook_id = j.webhook_id and o.replay = j.replay
        and o.position = j.position
        and o.next_attempt_at is null and o.held_at is null
        and greatest(o.attempts, 1) = j.number
    returning o.tenant_id, o.webhook_id, o.replay, o.position
),
finished as (
    delete from owed o
    using judged j
    where j.ours and j.state not in ('retrying', 'held') and o.tenant_id = j.tenant_id
        and o.webhook_id = j.webhook_id and o.replay = j.replay
        and o.position = j.position
        and o.next_attempt_at is null and o.held_at is null
        and greatest(o.attempts, 1) = j.number
    returning o.tenant_id, o.webhook_id, o.replay, o.position, o.sequence,
        o.webhook_version, o.status_code, o.error
),
tallied as (
    update replays r
    set succeeded = r.succeeded + t.succeeded, dead = r.dead + t.dead
    from (
        select j.tenant_id, j.webhook_id, j.replay,
            count(*) filter (where j.state = 'succeeded') as succeeded,
            count(*) filter (where j.state = 'dead') as dead
        from judged j
        join finished f using (tenant_id, webhook_id, replay, position)
        where j.replay > 0
        group by j.tenant_id, j.webhook_id, j.replay) t
    where r.tenant_id = t.tenant_id and r.webhook_id = t.webhook_id and r.replay = t.replay
),
mourned as (
    insert into webhook_deaths (tenant_id, webhook_id, count, since, last_position)
    select j.tenant_id, j.webhook_id, count(*), clock_timestamp(), max(j.position)
    from judged j
    join (
        select tenant_id, webhook_id, replay, position from finished
        union all
        select tenant_id, webhook_id, replay, position from waiting) f
        using (tenant_id, webhook_id, replay, position)
    where j.tells and j.state in ('dead', 'held')
    group by j.tenant_id, j.webhook_id
    on conflict (tenant_id, webhook_id) do update
    set count = webhook_deaths.count + excluded.count,
        since = coalesce(webhook_deaths.since, excluded.since),
        last_position = excluded.last_position
)
insert into results (
    tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version, state,
    attempts, status_code, error, finished_at)
select j.tenant_id, j.position, j.webhook_id, j.replay, j.recorded_at, f.sequence,
    f.webhook_version, j.state,
    case when j.made then j.number else j.number - 1 end,
    case when j.made then j.status_code else f.status_code end,
    case when j.made then j.error else f.error end, clock_timestamp()
from judged j
join finished f using (tenant_id, webhook_id, replay, position)

-- name: require_epoch
-- Part of a command of the lane's owner: ends it when the lane is another's by now.
select require(exists (
    select from lanes
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and replay = %(replay)s and epoch = %(epoch)s
    for share), 'stale_epoch', '')

-- name: note_health
-- What the owners of live lanes learned of their endpoints, when it changes. Attempts that
-- began before the webhook was enabled last do not count, so neither does what was learned
-- from them.
update lanes l
set failures = h.failures,
    failing_since = case when h.failures > 0
        then coalesce(l.failing_since, clock_timestamp()) end,
    opened_at = case when h.is_open then coalesce(l.opened_at, clock_timestamp()) end
from unnest(
    %(tenants)s::uuid[], %(webhooks)s::uuid[], %(epochs)s::bigint[],
    %(enabled_versions)s::int[], %(failures)s::int[], %(opens)s::boolean[])
    as h (tenant_id, webhook_id, epoch, enabled_version, failures, is_open)
join webhooks w using (tenant_id, webhook_id)
where l.tenant_id = h.tenant_id and l.webhook_id = h.webhook_id and l.replay = 0
    and l.epoch = h.epoch and w.enabled_version = h.enabled_version

-- name: notify_work
-- Wakes the workers that send. A hint, without data; its commit does not wait for the disk.
select set_config('synchronous_commit', 'off', true), pg_notify('daybook_work', '')

-- name: make_partitions
-- The months to come.
select make_partitions()
