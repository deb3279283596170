-- name: checkpoint
-- Whether there is a projection of this name, and which version made its live rows.
select version from checkpoints where name = %(name)s

-- name: pause
-- Hold the projection. Waits for the batch in progress, so none runs once this is done.
update checkpoints set paused_by = coalesce(paused_by, %(by)s) where name = %(name)s

-- name: resume
-- Let it go on.
update checkpoints set paused_by = null where name = %(name)s

-- name: errors
-- A page of the events that a projection could not apply, in the order of the log.
select error_id, log_position, tenant_id, stream, state, error, decided_by, retry, at
from projection_errors
where name = %(name)s and (%(key)s::bigint is null or log_position > %(key)s::bigint)
order by log_position
limit %(limit)s

-- name: errors_before
-- The page before, nearest first.
select error_id, log_position, tenant_id, stream, state, error, decided_by, retry, at
from projection_errors
where name = %(name)s and log_position < %(key)s::bigint
order by log_position desc
limit %(limit)s

-- name: error
-- One of them.
select error_id, log_position, tenant_id, stream, state, error, decided_by, retry, at
from projection_errors
where name = %(name)s and error_id = %(error_id)s

-- name: retry
-- A parked event, and what waits behind it, is tried again. One before which the projection
-- stands is tried again anyhow: it needs no mark.
update projection_errors
set retry = true
where name = %(name)s and error_id = %(error_id)s and state = 'parked'

-- name: skip
-- Leave an event out, by somebody's decision. What waited behind it in its stream need not
-- wait for it any more, and is tried again.
with skipped as (
    update projection_errors
    set state = 'skipped', decided_by = %(by)s, retry = false, at = clock_timestamp()
    where name = %(name)s and error_id = %(error_id)s and state <> 'skipped'
    returning name, tenant_id, stream, log_position
)
update projection_errors e
set retry = true
from skipped s
where e.name = s.name and e.tenant_id = s.tenant_id and e.stream = s.stream
    and e.state = 'parked' and e.log_position > s.log_position

-- name: last_rebuilds
-- The last rebuild that was asked for: of one projection, or of each. Its rate is that of
-- its whole time, pauses and lost workers included. Its target moves with the live rows.
select distinct on (r.name)
    r.name, r.tenant_id, r.version, r.state, r.accept, r.log_position as position,
    case when r.state = 'running' then greatest(r.target, c.log_position)
        else greatest(r.target, r.log_position) end as target,
    (r.log_position
        / nullif(extract(epoch from r.applied_at - r.started_at), 0))::float8 as rate,
    r.parity, r.error, r.asked_by, r.started_at, r.finished_at
from rebuilds r
join checkpoints c using (name)
where %(name)s::text is null or r.name = %(name)s
order by r.name, r.started_at desc

-- name: tenant_exists
-- Whether there is such a tenant.
select exists (select from tenants where tenant_id = %(tenant_id)s) as found

-- name: start_rebuild
-- Ask for one; none is made while another of the projection is not finished.
insert into rebuilds (
    rebuild_id, name, tenant_id, version, state, accept, target, asked_by)
select %(rebuild_id)s, name, %(tenant_id)s, %(version)s, 'running', %(accept)s,
    log_position, %(by)s
from checkpoints
where name = %(name)s
on conflict do nothing

-- name: cancel_rebuild
-- End it. Waits for the batch in progress; that may have been the one that finished it.
-- What it wrote is swept away by the workers.
with cancelled as (
    update rebuilds
    set state = 'cancelled', finished_at = clock_timestamp()
    where name = %(name)s and state in ('running', 'ready')
    returning name
)
update checkpoints c set sweep = true from cancelled where c.name = cancelled.name

-- name: accept_rebuild
-- Its rows may differ from the live ones.
update rebuilds set accept = true
where name = %(name)s and state in ('running', 'ready')

-- name: wake
-- Workers look at once.
select pg_notify(channel, '') from (values ('daybook_log'), ('daybook_work')) as c (channel)
