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
do $$
declare
    name text;
begin
    foreach name in array array[
        'daybook_owner', 'daybook_log', 'daybook_app', 'daybook_operator', 'daybook_worker'
    ] loop
        begin
            execute format('create role %I nologin', name);
        exception when duplicate_object or unique_violation then
            null;
        end;
        if not pg_has_role(session_user, name, 'member') then
            execute format('grant %I to %I', name, session_user);
        end if;
    end loop;
end $$;

create schema if not exists daybook authorization daybook_owner;
grant usage on schema daybook
    to daybook_log, daybook_app, daybook_operator, daybook_worker;
grant select on public.schema_migrations
    to daybook_app, daybook_operator, daybook_worker;
