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

-- name: configure_tenant
-- What the operator sets of a tenant.
update tenants
set strict_types = %(strict_types)s, retention_days = %(retention_days)s,
    limits = %(limits)s, version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s

-- name: suspend_tenant
-- From now on its keys may do nothing, and nothing it is owed is attempted.
update tenants
set state = 'suspended', suspended_at = %(at)s, suspended_reason = %(reason)s,
    version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s

-- name: resume_tenant
-- It goes on where it was.
update tenants
set state = 'active', suspended_at = null, suspended_reason = null,
    version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s

-- name: offboard_tenant
-- It has ended; its rows and its log stay.
update tenants
set state = 'offboarded', version = %(version)s, updated_at = %(at)s
where tenant_id = %(tenant_id)s

-- name: poke_tenant
-- Tell the owners of its lanes to look again.
select poke_tenant(%(tenant_id)s)

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

-- name: replace_key
-- Another key in a key's place, without what only its maker sees: a rider as above. The old
-- one is kept for as long as both work.
update api_keys
set previous_digest = case when %(keeps_previous)s then digest end, digest = %(digest)s,
    hint = %(hint)s
where tenant_id = %(tenant_id)s and key_id = %(key_id)s

-- name: rename_key
-- What the log says about the key that took another's place.
update api_keys
set name = %(name)s, scopes = %(scopes)s, expires_at = %(expires_at)s::timestamptz,
    previous_expires_at = %(previous_expires_at)s::timestamptz
where tenant_id = %(tenant_id)s and key_id = %(key_id)s

-- name: revoke_key
-- A key ends.
update api_keys set revoked_at = %(at)s
where tenant_id = %(tenant_id)s and key_id = %(key_id)s
