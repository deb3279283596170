-- name: durability
-- Settings without which an acknowledged event can be lost.
select name, setting from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit')

-- name: is_migrated
-- Whether there is anything to serve. A schema that is absent, or not ours to use, is null.
select coalesce(has_schema_privilege(to_regnamespace('daybook'), 'usage'), false)
    and to_regclass('daybook.events') is not null as is_migrated

-- name: identity
-- Who we are to the database, and what would let us past row-level security.
select r.rolname as role, r.rolsuper as is_super, r.rolbypassrls as bypasses,
    current_setting('server_version_num')::int as version
from pg_roles r where r.rolname = current_user

-- name: telling_settings
-- What makes the server log statements: those that it refuses, or all that write. Values
-- stand in them: event bytes, URLs, sealed secrets.
select name, setting from pg_settings
where name = 'log_min_error_statement' and setting not in ('log', 'fatal', 'panic')
    or name = 'log_statement' and setting in ('mod', 'all')
