-- name: unwalled_tables
-- Tables with tenants' rows, or a partition of one, whose policies are off or do not hold
-- for the table's owner.
select c.relname as name
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
where c.relnamespace = 'daybook'::regnamespace and c.relkind in ('r', 'p')
    and not (c.relrowsecurity and c.relforcerowsecurity)

-- name: open_policies
-- Policies for a tenant's requests, or for everybody, that ask anything else than whose row
-- it is. The form is that of Postgres's own listing. Without a check of its own a policy
-- checks what is written by what it shows.
select p.tablename || '.' || p.policyname as name
from pg_policies p
cross join (
    select '(tenant_id=(SELECT(current_setting(''app.tenant_id''::text))::uuid'
        || 'AScurrent_setting))' as text) bound
where p.schemaname = 'daybook' and p.roles && '{daybook_app,public}'
    and (coalesce(p.qual, p.with_check) is null
        or regexp_replace(coalesce(p.qual, bound.text), '\s', '', 'g') <> bound.text
        or regexp_replace(coalesce(p.with_check, bound.text), '\s', '', 'g') <> bound.text)

-- name: unknown_tables
-- Tables that neither have tenants' rows nor are known to be the platform's.
select c.relname as name
from pg_class c
where c.relnamespace = 'daybook'::regnamespace and c.relkind in ('r', 'p')
    and not c.relname = any(%(platform)s)
    and not exists (
        select from pg_attribute a
        where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnotnull)

-- name: told_too_much
-- What may be touched by who has no business there: by a tenant's requests, the operator's,
-- and the role that does something for several tenants at once, which has none anywhere.
select c.relname || ' (' || r.role || ')' as name
from pg_class c
cross join (values
    ('daybook_app', %(told)s::text[]), ('daybook_edge', '{}'),
    ('daybook_operator', %(operators)s::text[])) as r (role, tables)
where c.relnamespace = 'daybook'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
    and (r.role <> 'daybook_app' or c.relname = any(%(platform)s))
    and not c.relname = any(r.tables)
    and case
        when c.relkind = 'S' then has_sequence_privilege(r.role, c.oid, 'select, usage, update')
        else has_table_privilege(
                r.role, c.oid, 'select, insert, update, delete, truncate')
            or has_any_column_privilege(r.role, c.oid, 'select, insert, update')
    end

-- name: changeable_log
-- Who may write events, beside the one that owns log_append. The owner of the tables may by
-- right, and is kept from it by the policies, which hold for it too.
select g.grantee::regrole || ' (' || g.privilege_type || ')' as name
from pg_class c
cross join aclexplode(c.relacl) g
where c.oid = 'daybook.events'::regclass and g.grantee <> c.relowner
    and g.privilege_type <> 'SELECT'
    and not (g.grantee = 'daybook_log'::regrole and g.privilege_type = 'INSERT')
union all
select 'a policy: ' || p.policyname
from pg_policies p
where p.schemaname = 'daybook' and p.tablename = 'events' and p.cmd <> 'SELECT'
    and not (p.cmd = 'INSERT' and p.roles = '{daybook_log}')

-- name: passing_privileges
-- Rights over tables that go past row-level security, in other hands than their owner's.
select c.relname || ' (' || g.privilege_type || ')' as name
from pg_class c
cross join aclexplode(c.relacl) g
where c.relnamespace = 'daybook'::regnamespace and g.grantee <> c.relowner
    and g.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')

-- name: strong_roles
-- Roles that are missing, could log in, pass over policies, change roles, or have another
-- role's policies because they are its members.
select n.role as name
from unnest(%(roles)s::text[]) as n (role)
left join pg_roles r on r.rolname = n.role
where r.oid is null or r.rolcanlogin or r.rolsuper or r.rolbypassrls or r.rolcreaterole
    or r.rolcreatedb or exists (select from pg_auth_members m where m.member = r.oid)

-- name: foreign_owners
-- What is in the schema, or the schema itself, without belonging to the owner: whoever it
-- belongs to could take down the wall. Functions that lend rights are judged by themselves.
select c.relname as name
from pg_class c
where c.relnamespace = 'daybook'::regnamespace and c.relowner <> 'daybook_owner'::regrole
    and c.relkind in ('r', 'p', 'v', 'S')
union all
select p.proname || '()'
from pg_proc p
where p.pronamespace = 'daybook'::regnamespace and not p.prosecdef
    and p.proowner <> 'daybook_owner'::regrole
union all
select 'the schema'
from pg_namespace s
where s.nspname = 'daybook' and s.nspowner <> 'daybook_owner'::regrole

-- name: lending_views
-- Views that show what their owner sees, and things that policies cannot be put on.
select c.relname as name
from pg_class c
where c.relnamespace = 'daybook'::regnamespace
    and (c.relkind in ('m', 'f') or c.relkind = 'v'
        and not 'security_invoker=true' = any(coalesce(c.reloptions, '{}')))

-- name: lending_functions
-- Functions with their owner's rights: unknown ones, another owner's, those that everybody
-- may call, or a tenant's requests though they are not for them, and those that would find
-- somebody's own table before ours.
select p.proname || '()' as name
from pg_proc p
left join unnest(%(definers)s::text[], %(lenders)s::text[]) as k (name, owner)
    on k.name = p.proname
where p.pronamespace = 'daybook'::regnamespace and p.prosecdef
    and (k.owner is distinct from pg_get_userbyid(p.proowner)
        or not 'search_path=daybook, pg_temp' = any(coalesce(p.proconfig, '{}'))
        or has_function_privilege('public', p.oid, 'execute')
        or has_function_privilege('daybook_app', p.oid, 'execute')
            and not p.proname = any(%(lent)s))

-- name: makers
-- Who may make things in the schema, beside its owner: a table of the same name as one of
-- ours somewhere else would be found first.
select g.grantee::regrole::text as name
from pg_namespace s
cross join aclexplode(s.nspacl) g
where s.nspname = 'daybook' and g.privilege_type = 'CREATE' and g.grantee <> s.nspowner

-- name: preset_tenant
-- A tenant that connections have from the start: what forgets to say whose rows it wants
-- would get this one's instead of an error.
select 'app.tenant_id' as name
where coalesce(current_setting('app.tenant_id', true), '') <> ''
