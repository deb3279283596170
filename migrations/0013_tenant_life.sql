-- Tenants are configured, suspended and ended; keys are rotated, and some act for tenants.
set local role daybook_owner;
set local search_path = daybook;

-- state: the keys of a tenant that is not active may do nothing, and nothing it is owed is
-- attempted; offboarded is for good. limits: what it may have beyond every tenant's; a name
-- that is missing is as everybody's.
alter table tenants
    add column state text not null default 'active'
        check (state in ('active', 'suspended', 'offboarded')),
    add column suspended_at timestamptz,
    add column suspended_reason text,
    add column strict_types boolean not null default false,
    add column retention_days int,
    add column limits jsonb not null default '{}';

-- The key that was rotated last works on until then. Keys of the nil tenant are platform
-- keys: they act for the tenant that each request names.
alter table api_keys
    add column previous_digest bytea unique,
    add column previous_expires_at timestamptz;

-- Whether what a tenant is owed may be attempted. Without its own search path, so that the
-- planner can put it into the statements that ask.
create function tenant_is_active(tenant uuid) returns boolean
language sql stable
as $$
    select coalesce((
        select t.state = 'active' from daybook.tenants t where t.tenant_id = tenant), true)
$$;

-- Tells whoever sends for a tenant to look at its lanes again. The operator may say that,
-- and needs to see no lane for it.
create function poke_tenant(tenant uuid) returns void
language sql security definer
set search_path = daybook, pg_temp
as $$
    insert into pokes (tenant_id, webhook_id)
    select distinct tenant_id, webhook_id from lanes where tenant_id = tenant
$$;

-- Whose key this is, and for which tenant it asks: its own, whatever is named; a platform
-- key's is the one that is named, by its id or else by the operator's name for it. Over all
-- tenants, as there is none yet; so it answers nobody who has no key, and of tenants only
-- that one. (authenticate(bytea) stays for processes of the version before.)
create function authenticate(key_digest bytea, named_id uuid, named text)
returns table (
    key_id uuid, scopes text[], expires_at timestamptz, is_platform boolean,
    tenant_id uuid, external_id text, state text, strict_types boolean, limits jsonb
)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    with found as (
        select k.tenant_id, k.key_id, k.scopes, k.expires_at
        from api_keys k
        where k.digest = key_digest and k.revoked_at is null
        union all
        select k.tenant_id, k.key_id, k.scopes, k.previous_expires_at
        from api_keys k
        where k.previous_digest = key_digest and k.revoked_at is null
            and k.previous_expires_at is not null
    )
    select f.key_id, f.scopes, f.expires_at, p.is_platform, t.tenant_id, t.external_id,
        t.state, t.strict_types, t.limits
    from found f
    cross join lateral (
        select f.tenant_id = '00000000-0000-0000-0000-000000000000' as is_platform) p
    left join lateral (
        select * from tenants a
        where a.tenant_id = case when p.is_platform then named_id else f.tenant_id end
        union all
        select * from tenants a
        where p.is_platform and named_id is null and a.external_id = named) t on true
    where f.expires_at is null or f.expires_at > clock_timestamp()
$$;

reset role;
grant create on schema daybook to daybook_operator, daybook_worker;  -- for the next two
alter function daybook.authenticate(bytea, uuid, text) owner to daybook_operator;
alter function daybook.poke_tenant owner to daybook_worker;
revoke create on schema daybook from daybook_operator, daybook_worker;
revoke all on function daybook.authenticate(bytea, uuid, text), daybook.poke_tenant
    from public;
grant execute on function daybook.authenticate(bytea, uuid, text) to daybook_app;
grant execute on function daybook.poke_tenant to daybook_operator;
