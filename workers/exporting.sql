-- name: enter_tenant
-- For the rest of the transaction: rows of this tenant only.
select set_config('app.tenant_id', %(tenant_id)s, true)

-- name: head
-- Which log this is, if there is such a tenant.
select i.id as log
from log_incarnation i
join tenants t on t.tenant_id = %(tenant_id)s

-- name: events_after
-- The tenant's next events, as they are stored.
select position, event_id, type, stream, version, source, source_id, subject, state,
    metadata, actor, correlation_id, causation_id, depth, occurred_at, recorded_at
from events
where tenant_id = %(tenant_id)s and position > %(after)s
order by position
limit %(limit)s

-- name: configuration
-- What the tenant has set, as it stands; without the digests of keys and their use, and
-- without secrets, which are in other tables.
select 'tenant' as thing, to_jsonb(t) as settings
from tenants t where t.tenant_id = %(tenant_id)s
union all
select 'key', to_jsonb(k) - '{digest,previous_digest,last_used_at}'::text[]
from api_keys k where k.tenant_id = %(tenant_id)s and k.revoked_at is null
union all
select 'webhook', to_jsonb(w)
from webhooks w where w.tenant_id = %(tenant_id)s and w.state <> 'deleted'
union all
select 'event_type', to_jsonb(e)
from event_types e where e.tenant_id = %(tenant_id)s
