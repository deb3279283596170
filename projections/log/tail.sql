-- name: own_checkpoint
-- Take the projection's checkpoint for the length of the transaction. Who finds it taken
-- gets no row and stays a standby; when the owner dies, its socket or its transaction's
-- time limit frees the row.
select log_position from checkpoints where name = %(name)s for update skip locked

-- name: checkpoint_exists
-- Tells "taken" from "not there", which would be a missing migration.
select exists (select from checkpoints where name = %(name)s) as found

-- name: head
-- The last position of the log, read after the checkpoint is owned.
select coalesce((
    select log_position from events order by log_position desc limit 1), 0) as head

-- name: advance
-- Move the checkpoint, in the transaction of what was done up to there.
update checkpoints
set log_position = %(through)s, advanced_at = clock_timestamp(), failed_at = null,
    failed_position = null, error = null
where name = %(name)s

-- name: fail
-- A batch failed; the checkpoint stays. What went wrong is for people to see.
update checkpoints
set failed_at = clock_timestamp(), failed_position = log_position + 1, error = %(error)s
where name = %(name)s
