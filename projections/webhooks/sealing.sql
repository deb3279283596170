-- name: insert_secret
-- A secret to sign with, sealed; a rider of the command that makes it. Where one of this
-- version is there, somebody else was quicker: then the append, which follows, refuses this
-- very version, and all of this is undone.
insert into webhook_secrets (
    tenant_id, webhook_id, version, scheme, key_id, sealed, public_key)
values (%(tenant_id)s, %(webhook_id)s, %(version)s, %(scheme)s, %(key_id)s, %(sealed)s,
    %(public_key)s)
on conflict do nothing

-- name: expire_secrets
-- The secrets before the next ones sign until then, those of earlier rotations no longer
-- than they would have. Of each scheme at most `most` may sign at a time, the next one
-- counted: each is a signature in every request.
with ending as (
    update webhook_secrets
    set expires_at = least(coalesce(expires_at, 'infinity'), %(expires_at)s)
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and (expires_at is null or expires_at > %(now)s)
    returning scheme, expires_at
)
select require(coalesce(max(n), 0) < %(most)s, 'limit_reached',
    'at most ' || %(most)s || ' secrets sign at a time: wait for one to expire, or '
    || 'rotate without an overlap')
from (
    select count(*) as n from ending
    where expires_at > %(now)s group by scheme) q

-- name: insert_headers
-- The values of a webhook's headers, sealed; a rider of the command that sets them. On a
-- conflict as above.
insert into webhook_headers (tenant_id, webhook_id, version, key_id, sealed)
values (%(tenant_id)s, %(webhook_id)s, %(version)s, %(key_id)s, %(sealed)s)
on conflict do nothing

-- name: headers
-- The values as they were set with a version.
select key_id, sealed from webhook_headers
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s and version = %(version)s

-- name: previous_secrets
-- Until when the last secret but the current ones signs.
select max(expires_at) as expire_at from webhook_secrets
where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
