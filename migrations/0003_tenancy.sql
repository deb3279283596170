-- Tenants and their keys: models written in the transaction of the event that changes them.
set local role daybook_owner;
set local search_path = daybook;

create table tenants (
    tenant_id uuid primary key,
    external_id text unique,
    name text not null,
    version bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- digest is SHA-256 of the key: it has 256 random bits, so a slow hash would add nothing.
create table api_keys (
    tenant_id uuid not null,
    key_id uuid not null,
    name text not null,
    hint text not null,
    digest bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    primary key (tenant_id, key_id)
);

alter table tenants enable row level security;
alter table tenants force row level security;
alter table api_keys enable row level security;
alter table api_keys force row level security;
create policy own_tenant on tenants to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy own_tenant on api_keys to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on tenants to daybook_operator using (true) with check (true);
create policy all_tenants on api_keys to daybook_operator using (true) with check (true);
create policy names on tenants for select to daybook_worker using (true);
grant select on tenants to daybook_app, daybook_worker;
grant select, insert, update on tenants to daybook_operator;
grant select, insert, update on api_keys to daybook_app, daybook_operator;

-- Whose key this is. Before the answer there is no tenant, so it looks over all of them,
-- and therefore gives nothing but what the key itself stands for.
create function authenticate(key_digest bytea)
returns table (tenant_id uuid, key_id uuid, scopes text[], expires_at timestamptz)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select k.tenant_id, k.key_id, k.scopes, k.expires_at
    from api_keys k
    where k.digest = key_digest and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > clock_timestamp())
$$;

reset role;
grant create on schema daybook to daybook_operator;  -- for the next statement only
alter function daybook.authenticate owner to daybook_operator;
revoke create on schema daybook from daybook_operator;
revoke all on function daybook.authenticate from public;
grant execute on function daybook.authenticate to daybook_app;
