-- name: has_work
-- Whether there may be something to do, asked without a lock: owning the checkpoint writes,
-- and a commit that wrote waits for the disk, at each look and with nothing to show for it.
select c.log_position < coalesce((
        select log_position from events order by log_position desc limit 1), 0)
    or exists (select from projection_errors e where e.name = c.name) as may_work
from checkpoints c
where c.name = %(name)s

-- name: own_checkpoint
-- Take the projection's checkpoint for the length of the transaction. Who finds it taken
-- gets no row and stays a standby; when the owner dies, its socket or its transaction's
-- time limit frees the row.
select log_position, generation, version, paused_by
from checkpoints
where name = %(name)s
for update skip locked

-- name: checkpoint_exists
-- Tells "taken" from "not there", which would be a missing migration.
select exists (select from checkpoints where name = %(name)s) as found

-- name: ahead
-- The last position of the log, and whether events were left out so far. Read after the
-- checkpoint is owned and not with it: a statement that takes a row's lock sees the row as
-- it is then, but all else as it was when the statement began, before the last owner's
-- commit perhaps.
select coalesce((
    select log_position from events order by log_position desc limit 1), 0) as head,
    exists (select from projection_errors where name = %(name)s) as has_errors

-- name: advance
-- Move the checkpoint, in the transaction of what was done up to there. The moment it is
-- at the head counts as an advance too: only who is behind and does not move is stalled.
update checkpoints
set log_position = %(through)s, advanced_at = clock_timestamp(), failed_at = null,
    failed_position = null, error = null, needs = null
where name = %(name)s

-- name: fail
-- A batch failed; the checkpoint stays. What went wrong is for people to see.
update checkpoints
set failed_at = clock_timestamp(), failed_position = %(position)s, error = %(error)s,
    needs = %(needs)s
where name = %(name)s

-- name: left_out
-- Positions of the batch that are not to be applied: skipped ones, parked ones, and those
-- that queue behind a parked event of their stream, which are parked with it now.
with queued as (
    insert into projection_errors (name, log_position, tenant_id, stream, state, error)
    select %(name)s, e.log_position, e.tenant_id, e.stream, 'parked',
        'it waits behind an earlier event of its stream'
    from events e
    where e.log_position > %(after)s and e.log_position <= %(through)s
        and exists (
            select from projection_errors p
            where p.name = %(name)s and p.state = 'parked'
                and p.tenant_id = e.tenant_id and p.stream = e.stream)
    on conflict (name, log_position) do nothing
    returning log_position
)
select log_position from queued
union
select log_position from projection_errors
where name = %(name)s and state in ('parked', 'skipped')
    and log_position > %(after)s and log_position <= %(through)s

-- name: left_out_already
-- What the live rows of a projection are without, within a batch.
select log_position from projection_errors
where name = %(name)s and state in ('parked', 'skipped')
    and log_position > %(after)s and log_position <= %(through)s

-- name: record_poison
-- An event could not be applied, and what becomes of it.
insert into projection_errors (
    name, log_position, tenant_id, stream, state, error, decided_by)
select %(name)s, e.log_position, e.tenant_id, e.stream, %(state)s, %(error)s, 'policy'
from events e where e.log_position = %(position)s
on conflict (name, log_position) do update
set error = excluded.error, at = clock_timestamp()

-- name: forget_stopped
-- The event before which the projection stood was applied after all.
delete from projection_errors
where name = %(name)s and state = 'stopped' and log_position <= %(through)s

-- name: asked_again
-- Parked events that an operator wants tried again: all of one stream, in order.
select p.error_id, p.log_position
from projection_errors p
where p.name = %(name)s and p.state = 'parked' and (p.tenant_id, p.stream) = (
    select q.tenant_id, q.stream from projection_errors q
    where q.name = %(name)s and q.retry limit 1)
order by p.log_position

-- name: applied_again
-- A parked event was applied.
delete from projection_errors where error_id = %(error_id)s

-- name: failed_again
-- It still cannot be: the request is over, for it and for what waits behind it. Requests for
-- other streams stay.
update projection_errors e
set retry = false,
    error = case when e.error_id = f.error_id then %(error)s else e.error end,
    at = case when e.error_id = f.error_id then clock_timestamp() else e.at end
from projection_errors f
where f.error_id = %(error_id)s and e.name = f.name and e.state = 'parked'
    and e.tenant_id = f.tenant_id and e.stream = f.stream
