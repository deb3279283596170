-- name: authenticate
-- Whose key has this digest, and for which tenant it asks; no row when it is unknown,
-- expired or revoked.
select key_id, scopes, expires_at, is_platform, tenant_id, external_id, state, strict_types,
    limits
from authenticate(%(digest)s, %(named_id)s, %(named)s)

-- name: touch_key
-- When a key was last used, at most once a minute.
update api_keys set last_used_at = clock_timestamp()
where tenant_id = %(tenant_id)s and key_id = %(key_id)s
    and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')

-- name: tenant
-- One tenant.
select tenant_id, external_id, name, state, suspended_at, suspended_reason, strict_types,
    retention_days, limits, created_at, updated_at
from tenants where tenant_id = %(tenant_id)s

-- name: tenants
-- A page of tenants, oldest first: their ids sort by time.
select tenant_id, external_id, name, state, suspended_at, suspended_reason, strict_types,
    retention_days, limits, created_at, updated_at
from tenants
where (%(key)s::uuid is null or tenant_id > %(key)s::uuid)
order by tenant_id
limit %(limit)s

-- name: tenants_before
-- The page before, nearest first.
select tenant_id, external_id, name, state, suspended_at, suspended_reason, strict_types,
    retention_days, limits, created_at, updated_at
from tenants
where tenant_id < %(key)s::uuid
order by tenant_id desc
limit %(limit)s

-- name: owner_of_key
-- Whose key has this id; the operator knows keys by their id alone.
select tenant_id from api_keys where key_id = %(key_id)s and revoked_at is null

-- name: key
-- One key.
select tenant_id, key_id, name, hint, scopes, created_at, expires_at,
    case when previous_expires_at > clock_timestamp() then previous_expires_at end
        as previous_expires_at,
    last_used_at
from api_keys
where tenant_id = %(tenant_id)s and key_id = %(key_id)s and revoked_at is null

-- name: keys
-- A page of a tenant's keys, oldest first.
select tenant_id, key_id, name, hint, scopes, created_at, expires_at,
    case when previous_expires_at > clock_timestamp() then previous_expires_at end
        as previous_expires_at,
    last_used_at
from api_keys
where tenant_id = %(tenant_id)s and revoked_at is null
    and (%(key)s::uuid is null or key_id > %(key)s::uuid)
order by key_id
limit %(limit)s

-- name: keys_before
-- The page before, nearest first.
select tenant_id, key_id, name, hint, scopes, created_at, expires_at,
    case when previous_expires_at > clock_timestamp() then previous_expires_at end
        as previous_expires_at,
    last_used_at
from api_keys
where tenant_id = %(tenant_id)s and revoked_at is null and key_id < %(key)s::uuid
order by key_id desc
limit %(limit)s

-- name: keep_ticket
-- A ticket that stands for a key.
insert into tickets (tenant_id, digest, key_digest, expires_at)
values (%(tenant_id)s, %(digest)s, %(key_digest)s, %(expires_at)s)

-- name: forget_tickets
-- Those that nobody used in time: whoever asks for the next one clears them away.
delete from tickets where tenant_id = %(tenant_id)s and expires_at < clock_timestamp()

-- name: redeem_ticket
-- Whose ticket this was, and which key it stood for; it is used up with that.
select tenant_id, key_digest from redeem_ticket(%(digest)s)
