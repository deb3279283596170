-- name: hello
-- A worker begins to live; also clears away those that are long dead.
with gone as (
    delete from owners where lease_until < clock_timestamp() - interval '1 hour')
insert into owners (owner, lease_until)
values (%(owner)s, clock_timestamp() + make_interval(secs => %(lease)s))

-- name: renew
-- A worker lives on. No row when its lease ran out: then others may own its lanes, and it
-- must begin anew under another name.
update owners set lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
where owner = %(owner)s and lease_until > clock_timestamp()
returning owner

-- name: goodbye
-- A worker ends: its lanes are free at once.
delete from owners where owner = %(owner)s

-- name: shares
-- How many lanes there are, how many are ours, and how many workers share them.
select (select count(*) from lanes) as lanes,
    (select count(*) from lanes where owner = %(owner)s) as own,
    (select count(*) from owners where lease_until > clock_timestamp()) as workers

-- name: take
-- Take lanes that no living worker owns. epoch rises, so whatever the former owner still
-- writes is recognised. SKIP LOCKED: two workers that take at once share, neither waits.
with free as (
    select l.tenant_id, l.webhook_id, l.replay
    from lanes l
    where not exists (
        select from owners o
        where o.owner = l.owner and o.lease_until > clock_timestamp())
    limit %(most)s
    for update of l skip locked
)
update lanes l
set owner = %(owner)s, epoch = l.epoch + 1
from free f
where l.tenant_id = f.tenant_id and l.webhook_id = f.webhook_id and l.replay = f.replay
returning l.tenant_id, l.webhook_id, l.replay, l.epoch, l.failing_since is not null as failing

-- name: owned
-- The lanes of this worker as the database has them; asked after a lost connection, when
-- a taking may have been committed without our hearing of it.
select tenant_id, webhook_id, replay, epoch, failing_since is not null as failing
from lanes where owner = %(owner)s

-- name: give_back
-- Lanes for others to take.
update lanes l set owner = null
from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[])
    as g (tenant_id, webhook_id, replay)
where l.tenant_id = g.tenant_id and l.webhook_id = g.webhook_id and l.replay = g.replay
    and l.owner = %(owner)s

-- name: begin_anew
-- A statement that began attempts got lost on its way: our own epoch ends, so that it
-- cannot count any more. Waits for it, if it is still being committed.
update lanes l
set epoch = l.epoch + 1
from unnest(
    %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[])
    as a (tenant_id, webhook_id, replay, epoch)
where l.tenant_id = a.tenant_id and l.webhook_id = a.webhook_id and l.replay = a.replay
    and l.epoch = a.epoch
returning l.tenant_id, l.webhook_id, l.replay, l.epoch

-- name: recover
-- After a takeover: what may have been on the wire when the former owner was lost. Each
-- such attempt is recorded as unknown, once, and the delivery is due again at once.
with mine as (
    select l.tenant_id, l.webhook_id, l.replay, l.sent_through
    from lanes l
    join unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[])
        as a (tenant_id, webhook_id, replay, epoch)
        using (tenant_id, webhook_id, replay, epoch)
    order by l.tenant_id, l.webhook_id, l.replay
    for share of l
),
lost as (
    update owed o
    set attempts = greatest(o.attempts, 1), next_attempt_at = clock_timestamp()
    from mine m
    where o.tenant_id = m.tenant_id and o.webhook_id = m.webhook_id
        and o.replay = m.replay and o.next_attempt_at is null
        and (o.attempts > 0 or o.position <= m.sent_through)
    returning o.tenant_id, o.position, o.webhook_id, o.replay, o.attempts, o.recorded_at,
        o.trigger, o.webhook_version
)
insert into attempts (
    tenant_id, position, webhook_id, replay, number, recorded_at, trigger, outcome,
    started_at, webhook_version, detail)
select tenant_id, position, webhook_id, replay, attempts, recorded_at, trigger, 'unknown',
    clock_timestamp(), webhook_version,
    'the worker was lost while this attempt may have been on its way'
from lost
on conflict do nothing

-- name: lane_states
-- What a worker knows of its lanes before it looks at their rows. Seconds, not a time: two
-- clocks are never compared.
select l.tenant_id, l.webhook_id, l.replay, w.state, w.max_in_flight,
    extract(epoch from d.next_attempt_at - clock_timestamp())::float8 as due_in
from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[])
    as a (tenant_id, webhook_id, replay)
join lanes l using (tenant_id, webhook_id, replay)
join webhooks w using (tenant_id, webhook_id)
left join lateral (
    select o.next_attempt_at from owed o
    where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
        and o.replay = l.replay and o.next_attempt_at is not null
    order by o.next_attempt_at limit 1) d on true

-- name: handed_off_since
-- Lanes that were given rows by handoffs after this one, and how far handoffs have come.
select c.log_position as through, s.tenant_id, s.webhook_id, l.owner
from checkpoints c
left join webhook_sequences s on s.handed_off > %(since)s
left join lanes l on l.tenant_id = s.tenant_id and l.webhook_id = s.webhook_id
    and l.replay = 0
where c.name = 'deliveries'

-- name: take_pokes
-- What this worker is told about its lanes; and what nobody needs to know any more.
delete from pokes p
where exists (
        select from lanes l
        where l.tenant_id = p.tenant_id and l.webhook_id = p.webhook_id
            and l.owner = %(owner)s)
    or not exists (
        select from lanes l
        where l.tenant_id = p.tenant_id and l.webhook_id = p.webhook_id)
returning p.tenant_id, p.webhook_id

-- name: first_attempts
-- The next rows of several lanes, in order, each lane as many as it has room for; and in
-- the same statement, before any of them leaves, sent_through is raised over them. A lane
-- whose epoch is another's by now gives nothing: the lock waits for the taker's commit,
-- then sees the new epoch. Lanes are locked in the order of their key, here and in settle,
-- so that the two, on their own connections, never wait for each other in a circle.
with mine as materialized (
    select l.tenant_id, l.webhook_id, l.replay, l.epoch, l.sent_through, a.room
    from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[],
        %(rooms)s::int[]) as a (tenant_id, webhook_id, replay, epoch, room)
    join lanes l using (tenant_id, webhook_id, replay, epoch)
    join webhooks w using (tenant_id, webhook_id)
    where w.state = 'active'
    order by l.tenant_id, l.webhook_id, l.replay
    for no key update of l
),
next as materialized (
    select m.tenant_id, m.webhook_id, m.replay, m.epoch, o.position, o.recorded_at,
        o.sequence, o.trigger
    from mine m
    cross join lateral (
        select q.position, q.recorded_at, q.sequence, q.trigger from owed q
        where q.tenant_id = m.tenant_id and q.webhook_id = m.webhook_id
            and q.replay = m.replay and q.position > m.sent_through
            and q.attempts = 0 and q.next_attempt_at is null
        order by q.position
        limit m.room) o
),
raised as (
    update lanes l
    set sent_through = n.last
    from (
        select tenant_id, webhook_id, replay, epoch, max(position) as last
        from next group by tenant_id, webhook_id, replay, epoch) n
    where l.tenant_id = n.tenant_id and l.webhook_id = n.webhook_id
        and l.replay = n.replay and l.epoch = n.epoch
    returning l.tenant_id, l.webhook_id, l.replay
)
select n.tenant_id, n.webhook_id, n.replay, n.position, n.recorded_at, n.sequence,
    n.trigger, 1 as number, false as once,
    e.event_id, e.type, e.stream, e.version, e.state, e.metadata, e.subject, e.occurred_at,
    w.number as webhook_number, w.url, w.retry, w.timeout_seconds, w.max_in_flight,
    w.version as webhook_version, k.version as secret_version, k.key_id, k.sealed
from next n
join raised using (tenant_id, webhook_id, replay)
join events e on e.tenant_id = n.tenant_id and e.position = n.position
join webhooks w on w.tenant_id = n.tenant_id and w.webhook_id = n.webhook_id
join lateral (
    select s.version, s.key_id, s.sealed from webhook_secrets s
    where s.tenant_id = n.tenant_id and s.webhook_id = n.webhook_id
    order by s.version desc limit 1) k on true
order by n.tenant_id, n.webhook_id, n.replay, n.position

-- name: due_attempts
-- Retries whose time has come; before any leaves, its attempt number is raised. The lane
-- is locked in share mode, so a takeover waits until this is committed or sees nothing.
with mine as (
    select l.tenant_id, l.webhook_id, l.replay, a.room
    from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[],
        %(rooms)s::int[]) as a (tenant_id, webhook_id, replay, epoch, room)
    join lanes l using (tenant_id, webhook_id, replay, epoch)
    join webhooks w using (tenant_id, webhook_id)
    where w.state = 'active'
    order by l.tenant_id, l.webhook_id, l.replay
    for share of l
),
due as materialized (
    select m.tenant_id, m.webhook_id, m.replay, o.position
    from mine m
    cross join lateral (
        select q.position from owed q
        where q.tenant_id = m.tenant_id and q.webhook_id = m.webhook_id
            and q.replay = m.replay and q.next_attempt_at <= clock_timestamp()
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
    returning o.tenant_id, o.webhook_id, o.replay, o.position, o.recorded_at, o.sequence,
        o.trigger, o.attempts, o.once
)
select b.tenant_id, b.webhook_id, b.replay, b.position, b.recorded_at, b.sequence,
    b.trigger,
    b.attempts as number, b.once,
    e.event_id, e.type, e.stream, e.version, e.state, e.metadata, e.subject, e.occurred_at,
    w.number as webhook_number, w.url, w.retry, w.timeout_seconds, w.max_in_flight,
    w.version as webhook_version, k.version as secret_version, k.key_id, k.sealed
from begun b
join events e on e.tenant_id = b.tenant_id and e.position = b.position
join webhooks w on w.tenant_id = b.tenant_id and w.webhook_id = b.webhook_id
join lateral (
    select s.version, s.key_id, s.sealed from webhook_secrets s
    where s.tenant_id = b.tenant_id and s.webhook_id = b.webhook_id
    order by s.version desc limit 1) k on true
order by b.tenant_id, b.webhook_id, b.replay, b.position

-- name: settle
-- What came of attempts, many at once. Of a lane that is another's by now an attempt is
-- recorded as late and changes nothing else. Saying the same twice changes nothing: after
-- a lost connection the worker simply says it again. For that a row must still be in the
-- very attempt that is settled: it may have been asked for by hand in between.
with done as materialized (
    select * from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(replays)s::int[], %(epochs)s::bigint[],
        %(positions)s::bigint[], %(numbers)s::int[], %(recorded)s::timestamptz[],
        %(triggers)s::text[], %(outcomes)s::text[], %(started)s::timestamptz[],
        %(durations)s::real[], %(statuses)s::int[], %(errors)s::text[],
        %(details)s::text[], %(retry_afters)s::int[], %(webhook_versions)s::int[],
        %(secret_versions)s::int[], %(body_sizes)s::int[], %(body_hashes)s::bytea[],
        %(response_headers)s::jsonb[], %(response_sizes)s::int[], %(states)s::text[],
        %(delays)s::real[])
        as d (tenant_id, webhook_id, replay, epoch, position, number, recorded_at, trigger,
              outcome, started_at, duration_ms, status_code, error, detail,
              retry_after_seconds, webhook_version, secret_version, body_bytes, body_sha256,
              response_headers, response_bytes, state, delay)
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
        response_bytes)
    select tenant_id, position, webhook_id, replay, number, recorded_at, trigger,
        case when ours then outcome else 'late' end, started_at, duration_ms, status_code,
        error, detail, retry_after_seconds, webhook_version, secret_version, body_bytes,
        body_sha256, response_headers, response_bytes
    from judged
    on conflict do nothing
),
waiting as (
    update owed o
    set attempts = j.number,
        next_attempt_at = clock_timestamp() + make_interval(secs => j.delay),
        trigger = 'schedule', status_code = j.status_code, error = j.error
    from judged j
    where j.ours and j.state = 'retrying' and o.tenant_id = j.tenant_id
        and o.webhook_id = j.webhook_id and o.replay = j.replay
        and o.position = j.position
        and o.next_attempt_at is null and greatest(o.attempts, 1) = j.number
),
finished as (
    delete from owed o
    using judged j
    where j.ours and j.state <> 'retrying' and o.tenant_id = j.tenant_id
        and o.webhook_id = j.webhook_id and o.replay = j.replay
        and o.position = j.position
        and o.next_attempt_at is null and greatest(o.attempts, 1) = j.number
    returning o.tenant_id, o.webhook_id, o.replay, o.position, o.sequence
)
insert into results (
    tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version, state,
    attempts, status_code, error, finished_at)
select j.tenant_id, j.position, j.webhook_id, j.replay, j.recorded_at, f.sequence,
    j.webhook_version, j.state, j.number, j.status_code, j.error, clock_timestamp()
from judged j
join finished f using (tenant_id, webhook_id, replay, position)

-- name: require_epoch
-- Part of a command of the lane's owner: ends it when the lane is another's by now.
select require(exists (
    select from lanes
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and replay = %(replay)s and epoch = %(epoch)s
    for share), 'stale_epoch', '')

-- name: mark_failing
-- A webhook begins to fail.
update lanes set failing_since = clock_timestamp()
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and replay = %(replay)s
    and epoch = %(epoch)s and failing_since is null

-- name: mark_well
-- A webhook answers again.
update lanes set failing_since = null
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and replay = %(replay)s
    and epoch = %(epoch)s and failing_since is not null

-- name: cancel_owed
-- Some of what is owed to a deleted webhook becomes cancelled; how much.
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
        and o.replay = m.replay
        and o.position in (
            select q.position from owed q
            where q.tenant_id = %(tenant_id)s and q.webhook_id = %(webhook_id)s
                and q.replay = %(replay)s
            order by q.position limit 5000)
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

-- name: end_lane
-- The lane of a deleted webhook ends once nothing is owed there and the handoff has
-- passed the deletion, so that no row can come after it.
delete from lanes l
where l.tenant_id = %(tenant_id)s and l.webhook_id = %(webhook_id)s
    and l.replay = %(replay)s and l.epoch = %(epoch)s
    and not exists (
        select from owed o
        where o.tenant_id = l.tenant_id and o.webhook_id = l.webhook_id
            and o.replay = l.replay)
    and (select log_position from checkpoints where name = 'deliveries') >= (
        select e.log_position from events e
        where e.tenant_id = %(tenant_id)s and e.stream = %(stream)s
        order by e.version desc limit 1)
returning l.webhook_id

-- name: take_test
-- A test delivery that somebody waits for; SKIP LOCKED: one worker takes it.
update test_requests t
set taken_at = clock_timestamp()
from (
    select tenant_id, request_id from test_requests
    where taken_at is null and asked_at > clock_timestamp() - interval '40 seconds'
    order by asked_at limit 1
    for update skip locked) n
join test_requests q using (tenant_id, request_id)
join webhooks w on w.tenant_id = q.tenant_id and w.webhook_id = q.webhook_id
join lateral (
    select s.version, s.key_id, s.sealed from webhook_secrets s
    where s.tenant_id = w.tenant_id and s.webhook_id = w.webhook_id
    order by s.version desc limit 1) k on true
where t.tenant_id = n.tenant_id and t.request_id = n.request_id
returning t.tenant_id, t.request_id, t.webhook_id, t.type, t.data, w.number as
    webhook_number, w.url, w.timeout_seconds, k.version as secret_version, k.key_id,
    k.sealed

-- name: answer_test
-- What came of it.
update test_requests set answer = %(answer)s
where tenant_id = %(tenant_id)s and request_id = %(request_id)s

-- name: forget_tests
-- Tests whose askers have gone.
delete from test_requests where asked_at < clock_timestamp() - interval '5 minutes'

-- name: notify_work
-- Wakes the workers that send. A hint, without data.
notify daybook_work

-- name: make_partitions
-- The months to come.
select make_partitions()
