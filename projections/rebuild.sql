-- name: own_rebuild
-- Take a rebuild that waits for work, for the length of a transaction. A worker that dies
-- frees it with its socket and the next goes on from log_position: nothing is done twice,
-- because the position moves with the rows.
select r.rebuild_id, r.name, r.tenant_id, r.version, r.generation, r.state, r.accept,
    r.log_position, c.version as live_version
from rebuilds r join checkpoints c using (name)
where r.name = %(name)s
    and (r.state = 'running' or (r.state = 'ready' and r.accept))
for update of r skip locked

-- name: choose_generation
-- The rebuild's own rows, which no reader sees before the pointer moves.
update rebuilds r
set generation = 1 + greatest(
    (select generation from checkpoints where name = r.name),
    (select coalesce(max(generation), 0) from rebuilds where name = r.name))
where rebuild_id = %(rebuild_id)s
returning generation

-- name: live_position
-- How far the live rows are; a rebuild never overtakes them, so that both can be compared.
select log_position, generation from checkpoints where name = %(name)s

-- name: own_live
-- The live rows stand still while both sets are compared and the pointer moves. Waits for
-- a batch in progress, at most lock_timeout.
select log_position, generation from checkpoints where name = %(name)s for update

-- name: progress
-- How far the rebuild is, in the transaction of what it wrote.
update rebuilds
set log_position = %(through)s, applied_at = clock_timestamp()
where rebuild_id = %(rebuild_id)s

-- name: move_pointer
-- The new rows are live from here on.
update checkpoints
set generation = %(generation)s, version = %(version)s, sweep = true
where name = %(name)s

-- name: finish
-- How it ended. The rows of one that failed are nobody's: they are swept away.
with swept as (
    update checkpoints c set sweep = true
    from rebuilds r
    where r.rebuild_id = %(rebuild_id)s and c.name = r.name and %(state)s = 'failed'
)
update rebuilds
set state = %(state)s, parity = %(parity)s, error = %(error)s,
    finished_at = case when %(state)s = 'ready' then null else clock_timestamp() end
where rebuild_id = %(rebuild_id)s

-- name: needs_sweep
-- Whether rows of retired generations may be left, and which to keep: the live one, those
-- that grow, and the next numbers: a rebuild may choose one of them this very moment.
select array[c.generation] || array(
        select r.generation from rebuilds r
        where r.name = c.name and r.state in ('running', 'ready')
            and r.generation is not null)
    || array(
        select n.last + ahead
        from (
            select greatest(c.generation, max(r.generation)) as last
            from rebuilds r where r.name = c.name) n
        cross join generate_series(1, 10) as ahead) as keep
from checkpoints c where c.name = %(name)s and c.sweep

-- name: swept
-- None is left.
update checkpoints set sweep = false where name = %(name)s
