-- Who does what is done for several tenants in one call: a role that sees no row.
--
-- The log takes groups, keys are claimed together, quotas are taken together: the functions
-- for that take the tenants as parameters. So they are not for the role of a tenant's own
-- requests, of which the database itself makes sure that it sees one tenant.
do $$
declare
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    may_take_on constant text := case when modern then 'set' else 'member' end;
    options constant text := case when modern then ' with inherit true, set true' else '' end;
begin
    begin
        if not exists (select from pg_roles where rolname = 'daybook_edge') then
            create role daybook_edge nologin;
        end if;
    exception when duplicate_object or unique_violation then
        null;
    end;
    begin
        if not (pg_has_role(session_user, 'daybook_edge', may_take_on)
                and pg_has_role(session_user, 'daybook_edge', 'usage')) then
            execute format('grant daybook_edge to %I', session_user) || options;
        end if;
    exception when unique_violation then
        null;
    end;
end $$;

set local role daybook_owner;
set local search_path = daybook;
grant usage on schema daybook to daybook_edge;

set local role daybook_log;
grant execute on function log_append, log_append_kept, log_find, claim_keys, keep_key,
    keep_command to daybook_edge;
revoke all on function log_append, log_append_kept, log_find, claim_keys, keep_command
    from daybook_app, daybook_operator;
revoke all on function keep_key from daybook_operator;

set local role daybook_owner;
grant execute on function take_quotas to daybook_edge;
revoke all on function take_quotas from daybook_app;
