-- name: webhooks
-- The webhooks that a tenant has.
select webhook_id as id from webhooks
where tenant_id = %(tenant_id)s and state <> 'deleted'

-- name: keys
-- The keys that a tenant has.
select key_id as id from api_keys
where tenant_id = %(tenant_id)s and revoked_at is null
