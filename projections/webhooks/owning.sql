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
-- How many webhooks have lanes, how many are ours, and how many workers share them; and
-- all lanes of ours, to compare with what we remember.
select (select count(*) from lanes where replay = 0) as webhooks,
    (select count(*) from lanes where owner = %(owner)s and replay = 0) as own,
    (select count(*) from lanes where owner = %(owner)s) as lanes,
    (select count(*) from owners where lease_until > clock_timestamp()) as workers

-- name: take
-- Take webhooks that no living worker owns, each with all its lanes: who owns the live one
-- owns the replays, so that limits on a webhook are limits of one process. epoch rises, so
-- whatever the former owner still writes is recognised. SKIP LOCKED: two workers that take
-- at once share, neither waits.
with free as (
    select l.tenant_id, l.webhook_id
    from lanes l
    where l.replay = 0 and not exists (
        select from owners o
        where o.owner = l.owner and o.lease_until > clock_timestamp())
    limit %(most)s
    for update of l skip locked
)
update lanes l
set owner = %(owner)s, epoch = l.epoch + 1
from free f
where l.tenant_id = f.tenant_id and l.webhook_id = f.webhook_id
returning l.tenant_id, l.webhook_id, l.replay, l.epoch

-- name: take_replays
-- Lanes of new replays of our webhooks. The live lane is locked in share mode: a worker
-- that takes it in this moment takes these as well, or waits and finds them ours.
with mine as (
    select tenant_id, webhook_id from lanes
    where replay = 0 and owner = %(owner)s
        and (tenant_id, webhook_id) in (
            select tenant_id, webhook_id from lanes
            where replay > 0 and owner is distinct from %(owner)s)
    for share
)
update lanes l
set owner = %(owner)s, epoch = l.epoch + 1
from mine m
where l.tenant_id = m.tenant_id and l.webhook_id = m.webhook_id
    and l.replay > 0 and l.owner is distinct from %(owner)s
returning l.tenant_id, l.webhook_id, l.replay, l.epoch

-- name: owned
-- The lanes of this worker as the database has them; asked after a lost connection, when
-- a taking may have been committed without our hearing of it.
select tenant_id, webhook_id, replay, epoch from lanes where owner = %(owner)s

-- name: give_back
-- Webhooks for others to take, with all their lanes; and a poke that tells of each, for whoever
-- has less than its part.
with given as (
    update lanes l set owner = null
    from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[]) as g (tenant_id, webhook_id)
    where l.tenant_id = g.tenant_id and l.webhook_id = g.webhook_id
        and l.owner = %(owner)s
    returning l.tenant_id, l.webhook_id, l.replay
)
insert into pokes (tenant_id, webhook_id)
select tenant_id, webhook_id from given where replay = 0

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
-- such attempt is recorded as unknown, once, and the delivery is due again at once. And
-- what waits behind a row of its stream that was finished without our hearing of it.
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
        and o.replay = m.replay and o.next_attempt_at is null and o.held_at is null
        and (o.attempts > 0 or (o.stream is null and o.position <= m.sent_through))
    returning o.tenant_id, o.position, o.webhook_id, o.replay, o.attempts, o.recorded_at,
        o.trigger, o.webhook_version
),
freed as (
    update owed o
    set next_attempt_at = clock_timestamp()
    from mine m
    where o.tenant_id = m.tenant_id and o.webhook_id = m.webhook_id
        and o.replay = m.replay and o.stream is not null
        and o.next_attempt_at = 'infinity'
        and not exists (
            select from owed b
            where b.tenant_id = o.tenant_id and b.webhook_id = o.webhook_id
                and b.replay = o.replay and b.stream = o.stream
                and b.position < o.position)
)
insert into attempts (
    tenant_id, position, webhook_id, replay, number, recorded_at, trigger, outcome,
    started_at, webhook_version, detail)
select tenant_id, position, webhook_id, replay, attempts, recorded_at, trigger, 'unknown',
    clock_timestamp(), webhook_version,
    'the worker was lost while this attempt may have been on its way'
from lost
on conflict do nothing

-- name: handed_off_since
-- Lanes that were given rows by handoffs after this one, and how far handoffs have come.
select c.log_position as through, s.tenant_id, s.webhook_id, l.owner
from checkpoints c
left join webhook_sequences s on s.handed_off > %(since)s
left join lanes l on l.tenant_id = s.tenant_id and l.webhook_id = s.webhook_id
    and l.replay = 0
where c.name = 'deliveries'

-- name: take_pokes
-- What this worker is told about its webhooks; what nobody needs to know any more; and,
-- left for who takes them, those about webhooks that nobody owns.
with heard as (
    delete from pokes p
    where exists (
            select from lanes l
            where l.tenant_id = p.tenant_id and l.webhook_id = p.webhook_id
                and l.owner = %(owner)s)
        or not exists (
            select from lanes l
            where l.tenant_id = p.tenant_id and l.webhook_id = p.webhook_id)
    returning p.tenant_id, p.webhook_id
)
select tenant_id, webhook_id, true as is_owned from heard
union all
select distinct p.tenant_id, p.webhook_id, false
from pokes p
join lanes l using (tenant_id, webhook_id)
where l.replay = 0 and l.owner is null
