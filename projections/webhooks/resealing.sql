-- name: old_secrets
-- The next secrets, in the order of their keys, that another key than the first has sealed.
select tenant_id, webhook_id, version, scheme, key_id, sealed from webhook_secrets
where key_id <> %(first)s and (tenant_id, webhook_id, version, scheme) > (
    %(tenant_id)s::uuid, %(webhook_id)s::uuid, %(version)s::int, %(scheme)s::text)
order by tenant_id, webhook_id, version, scheme
limit %(most)s

-- name: reseal_secret
-- The same secret, sealed anew; nothing if somebody else was quicker.
update webhook_secrets set key_id = %(key_id)s, sealed = %(sealed)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
    and version = %(version)s and scheme = %(scheme)s and key_id = %(old)s

-- name: old_headers
-- The same of headers.
select tenant_id, webhook_id, version, '' as scheme, key_id, sealed from webhook_headers
where key_id <> %(first)s and (tenant_id, webhook_id, version) > (
    %(tenant_id)s::uuid, %(webhook_id)s::uuid, %(version)s::int)
order by tenant_id, webhook_id, version
limit %(most)s

-- name: reseal_headers
-- The same of headers.
update webhook_headers set key_id = %(key_id)s, sealed = %(sealed)s
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
    and version = %(version)s and key_id = %(old)s
