-- name: claim
-- Claims keys for this connection's session, and says what is known of them; see claim_keys.
select k, is_ours, fingerprint, run, made, log_tenant_id, positions, replayed, status,
    headers, body
from claim_keys(%(owners)s::uuid[], %(keys)s::text[])

-- name: release
-- Another may claim the key.
select pg_advisory_unlock(lock_of_key(%(owner)s, %(key)s))

-- name: keep_answer
-- What a request was answered, beside what it did.
select keep_key(
    %(owner)s, %(key)s, %(fingerprint)s, %(run)s, %(made)s, null, null, null,
    %(status)s::smallint, %(headers)s::jsonb, %(body)s::bytea)

-- name: receipts
-- What the log answered once, told again.
select event_id, log_position, position, stream, version, recorded_at
from events
where tenant_id = %(tenant_id)s and position = any(%(positions)s::bigint[])

-- name: forget_keys
-- Keys that no longer count, the oldest first; a step of what may be many.
with gone as (
    delete from idempotency_keys
    where (tenant_id, key) in (
        select tenant_id, key from idempotency_keys
        where not is_kept(kept_at)
        order by kept_at
        limit %(most)s
        for update skip locked)
    returning 1)
select count(*)::int as gone from gone
