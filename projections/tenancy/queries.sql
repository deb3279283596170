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
