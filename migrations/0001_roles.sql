-- The roles, and the schema that everything lives in.
--
-- Roles belong to the whole server, so another database of Daybook's may have made them
-- already, perhaps in this very moment: both are fine. All are NOLOGIN; the one login is a
-- member and each connection pool names its role when it connects.
--
--   daybook_owner     owns tables; used by migrations only
--   daybook_log       owns log_append; alone may insert into the log
--   daybook_app       the API for one tenant: sees rows of app.tenant_id, fails closed
--   daybook_operator  the operator's calls: tenants and keys, no tenant's data
--   daybook_worker    projections and deliveries: the policies that name it, over tenants
--
-- A superuser may take on any role. Another login is made a member, which until Postgres 15
-- is enough to use a role and to take it on; from 16 on both are said in the grant, and who
-- made a role is its member without either. Where the login may not make roles, somebody
-- who may makes and grants them first.
do $$
declare
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    may_take_on constant text := case when modern then 'set' else 'member' end;
    options constant text := case when modern then ' with inherit true, set true' else '' end;
    name text;
begin
    foreach name in array array[
        'daybook_owner', 'daybook_log', 'daybook_app', 'daybook_operator', 'daybook_worker'
    ] loop
        begin
            if not exists (select from pg_roles where rolname = name) then
                execute format('create role %I nologin', name);
            end if;
        exception when duplicate_object or unique_violation then
            null;
        end;
        begin
            if not (pg_has_role(session_user, name, may_take_on)
                    and pg_has_role(session_user, name, 'usage')) then
                execute format('grant %I to %I', name, session_user) || options;
            end if;
        exception when unique_violation then
            null;
        end;
    end loop;
end $$;

create schema if not exists daybook authorization daybook_owner;
grant usage on schema daybook
    to daybook_log, daybook_app, daybook_operator, daybook_worker;
grant select on public.schema_migrations
    to daybook_app, daybook_operator, daybook_worker;
