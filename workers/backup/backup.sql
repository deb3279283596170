-- name: blind_spots
-- Tables of which who asks does not see every row: pg_dump would take what it is shown for
-- all there is. Nothing but a policy that holds for every row will do.
select c.relname as name
from pg_class c
where c.relnamespace = 'daybook'::regnamespace and c.relkind = 'r'
    and (not has_table_privilege(c.oid, 'select') or c.relrowsecurity and (
        not exists (
            select from pg_policy p
            where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*')
                and pg_get_expr(p.polqual, p.polrelid) = 'true'
                and p.polroles && array[0::oid, current_user::regrole::oid])
        or exists (
            select from pg_policy p
            where p.polrelid = c.oid and not p.polpermissive and p.polcmd in ('r', '*')
                and p.polroles && array[0::oid, current_user::regrole::oid])))
order by c.relname

-- name: export_snapshot
-- What is counted here and what pg_dump reads are then the same moment of the database.
select pg_export_snapshot() as snapshot

-- name: row_counts
-- How many rows each table has.
select name, rows from daybook.row_counts()

-- name: about
-- Which log it is, how far it goes, and the server's version.
select (select id::text from daybook.log_incarnation) as incarnation,
    coalesce((
        select log_position from daybook.events
        order by log_position desc limit 1), 0) as log_position,
    current_setting('server_version_num')::int / 10000 as postgres,
    clock_timestamp() as taken_at

-- name: migrations
-- The migrations the database has.
select version, name, sha256, applied_at from public.schema_migrations order by version

-- name: contents
-- What is in a database, apart from what every database has.
select n.nspname || '.' || c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    and not exists (
        select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
union all
select nspname from pg_namespace where nspname = 'daybook'
order by 1
limit 5

-- name: enter_owner
-- For the rest of the transaction: the owner of everything.
set local role daybook_owner

-- name: drop_schema
-- What the migrations made goes, what they made beside it stays: the roles, which belong
-- to the server and are in no dump.
drop schema daybook cascade

-- name: forget_migrations
-- Until the end of the restore the database has no version.
delete from public.schema_migrations

-- name: create_schema
-- The schema as the first migration makes it.
create schema daybook authorization daybook_owner

-- name: lend_schema
-- An owner of a function may be given it where he could have made it, and only there.
grant create on schema daybook to daybook_log, daybook_operator, daybook_worker

-- name: take_schema_back
-- No longer.
revoke create on schema daybook from daybook_log, daybook_operator, daybook_worker

-- name: new_incarnation
-- From here on it is another log: cursors of the old one may point beyond its end, or to
-- what is something else now.
update daybook.log_incarnation set id = gen_random_uuid() returning id::text as incarnation

-- name: record_migration
-- A migration that the dumped database had.
insert into public.schema_migrations (version, name, sha256, applied_at)
values (%(version)s, %(name)s, %(sha256)s, %(applied_at)s)

-- name: analyze
-- For the planner, which has never seen these rows.
analyze
