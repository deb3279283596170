-- name: append
-- A group of entries; see log_append in the migrations.
select k, answer, log_position, position, stream, version, recorded_at, event_id
from log_append(
    %b::uuid[], %b::int[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[],
    %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::timestamptz[], %b::bytea[], %b::text[], %b::bigint[], %b::bytea[])

-- name: append_kept
-- The same where some of the requests have an Idempotency-Key; see log_append_kept.
select k, answer, log_position, position, stream, version, recorded_at, event_id
from log_append_kept(
    %b::uuid[], %b::int[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[],
    %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::timestamptz[], %b::bytea[], %b::text[], %b::bigint[], %b::bytea[],
    %b::int[], %b::uuid[], %b::text[], %b::bytea[], %b::uuid[], %b::uuid[])

-- name: append_or_abort
-- The same inside a command's transaction: an entry that is not appended ends it, with the
-- answer as the error, so that the statements around it leave nothing behind. ('refused' is
-- the fate of the others of its request: the one that has the reason must be the error.)
select k, answer, log_position, position, stream, version, recorded_at, event_id,
    require(answer in ('appended', 'refused'), answer, coalesce(version, 0)::text)
from log_append(
    %b::uuid[], %b::int[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[],
    %b::bytea[], %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::timestamptz[], %b::bytea[], %b::text[], %b::bigint[], %b::bytea[])

-- name: keep_command
-- After a command's append, in its transaction: what its key now stands for.
select keep_command(
    %(owner)s, %(key)s, %(fingerprint)s, %(run)s, %(made)s, %(tenant_id)s, %(event_ids)s)

-- name: find
-- Which of these events are in the log, asked in the queue of the appenders.
select k, log_position, position, stream, version, recorded_at
from log_find(%b::uuid[], %b::text[])

-- name: enter_tenant
-- For the rest of the transaction: rows of this tenant only.
select set_config('app.tenant_id', %(tenant_id)s, true)

-- name: enter_role
-- Until another one, or the end of the transaction: what this role may do.
select set_config('role', %(role)s, true)

-- name: stream_events
-- A stream's events for an aggregate, forwards.
select stream, version, topic, state, occurred_at
from events
where tenant_id = %(tenant_id)s and stream = %(stream)s
    and version > %(after)s and version <= %(through)s
order by version
limit %(limit)s

-- name: stream_events_backwards
-- The same, newest first.
select stream, version, topic, state, occurred_at
from events
where tenant_id = %(tenant_id)s and stream = %(stream)s
    and version > %(after)s and version <= %(through)s
order by version desc
limit %(limit)s

-- name: notifications
-- A part of the whole log for the library's readers.
select tenant_id, stream, version, topic, state, occurred_at, log_position
from events
where log_position between %(first)s and %(last)s
    and (%(topics)s::text[] = '{}' or topic = any(%(topics)s::text[]))
order by log_position
limit %(limit)s

-- name: head
-- The last position of the whole log; 0 when it is empty.
select coalesce((
    select log_position from events order by log_position desc limit 1), 0) as head

-- name: notify
-- Wakes whoever tails the log. A hint, without data: everyone on the database hears it.
notify daybook_log
