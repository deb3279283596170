-- name: insert_tenant
-- A tenant begins.
insert into tenants (tenant_id, external_id, name, version, created_at, updated_at)
values (%(tenant_id)s, %(external_id)s, %(name)s, %(version)s, %(at)s, %(at)s)

-- name: update_tenant
-- A tenant's names change.
update tenants
set external_id = %(external_id)s, name = %(name)s, version = %(version)s,
    updated_at = %(at)s
where tenant_id = %(tenant_id)s

-- name: insert_key
-- A key, without what only its maker sees: the digest comes as a rider of the command.
insert into api_keys (tenant_id, key_id, name, hint, digest, scopes, created_at, expires_at)
values (%(tenant_id)s, %(key_id)s, '', %(hint)s, %(digest)s, '{}', clock_timestamp(), null)

-- name: name_key
-- What the log says about the key.
update api_keys
set name = %(name)s, scopes = %(scopes)s, created_at = %(at)s,
    expires_at = %(expires_at)s::timestamptz
where tenant_id = %(tenant_id)s and key_id = %(key_id)s

-- name: revoke_key
-- A key ends.
update api_keys set revoked_at = %(at)s
where tenant_id = %(tenant_id)s and key_id = %(key_id)s

-- name: authenticate
-- Whose key has this digest; no row when it is unknown, expired or revoked.
select tenant_id, key_id, scopes, expires_at from authenticate(%(digest)s)

-- name: touch_key
-- When a key was last used, at most once a minute.
update api_keys set last_used_at = clock_timestamp()
where tenant_id = %(tenant_id)s and key_id = %(key_id)s
    and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')

-- name: tenant
-- One tenant.
select tenant_id, external_id, name, created_at, updated_at from tenants
where tenant_id = %(tenant_id)s

-- name: tenant_by_external_id
-- One tenant, by the operator's own name for it.
select tenant_id, external_id, name, created_at, updated_at from tenants
where external_id = %(external_id)s

-- name: tenants
-- A page of tenants, oldest first.
select tenant_id, external_id, name, created_at, updated_at from tenants
where (%(after)s::uuid is null or tenant_id > %(after)s::uuid)
order by tenant_id
limit %(limit)s

-- name: tenants_before
-- The page before, nearest first.
select tenant_id, external_id, name, created_at, updated_at from tenants
where tenant_id < %(before)s::uuid
order by tenant_id desc
limit %(limit)s

-- name: key
-- One key.
select tenant_id, key_id, name, hint, scopes, created_at, expires_at, revoked_at,
    last_used_at
from api_keys
where tenant_id = %(tenant_id)s and key_id = %(key_id)s and revoked_at is null

-- name: keys
-- A page of a tenant's keys, oldest first.
select tenant_id, key_id, name, hint, scopes, created_at, expires_at, revoked_at,
    last_used_at
from api_keys
where tenant_id = %(tenant_id)s and revoked_at is null
    and (%(after)s::uuid is null or key_id > %(after)s::uuid)
order by key_id
limit %(limit)s

-- name: keys_before
-- The page before, nearest first.
select tenant_id, key_id, name, hint, scopes, created_at, expires_at, revoked_at,
    last_used_at
from api_keys
where tenant_id = %(tenant_id)s and revoked_at is null and key_id < %(before)s::uuid
order by key_id desc
limit %(limit)s
