-- name: durability
-- Settings without which an acknowledged event can be lost.
select name, setting from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit')

-- name: identity
-- Who we are to the database, and what would let us past row-level security.
select r.rolname as role, r.rolsuper as is_super, r.rolbypassrls as bypasses,
    current_setting('server_version_num')::int as version
from pg_roles r where r.rolname = current_user

-- name: open_tables
-- Tables with tenants' rows that are not walled off; there must be none.
select c.relname as name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'daybook'
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
where c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)
