-- Who makes backups: a role that reads every row and changes none.
--
-- A walled table shows pg_dump what its policies show, and one that shows nothing is dumped
-- as an empty one, without an error. So every table says that this role sees all of it, and
-- every partition too: pg_dump reads them one by one, where their parents' policies do not
-- hold. `daybook backup` refuses to begin while a table does not say so.
do $$
declare
    modern constant boolean := current_setting('server_version_num')::int >= 160000;
    may_take_on constant text := case when modern then 'set' else 'member' end;
    options constant text := case when modern then ' with inherit true, set true' else '' end;
begin
    begin
        if not exists (select from pg_roles where rolname = 'daybook_backup') then
            create role daybook_backup nologin;
        end if;
    exception when duplicate_object or unique_violation then
        null;
    end;
    begin
        if not (pg_has_role(session_user, 'daybook_backup', may_take_on)
                and pg_has_role(session_user, 'daybook_backup', 'usage')) then
            execute format('grant daybook_backup to %I', session_user) || options;
        end if;
    exception when unique_violation then
        null;
    end;
end $$;
grant select on public.schema_migrations to daybook_backup;

set local role daybook_owner;
set local search_path = daybook;
grant usage on schema daybook to daybook_backup;

do $$
declare
    found record;
begin
    for found in
        select relname, relrowsecurity from pg_class
        where relnamespace = 'daybook'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('grant select on %I to daybook_backup', found.relname);
        if found.relrowsecurity then
            execute format('create policy backup on %I for select to daybook_backup
                using (true)', found.relname);
        end if;
    end loop;
end $$;
grant select on all sequences in schema daybook to daybook_backup;

-- As before; and partitions to come are read by backups as well.
create or replace function make_partitions() returns void
language plpgsql security definer
set search_path = daybook, pg_temp
as $$
declare
    month timestamptz;
    parent text;
    part text;
begin
    perform pg_advisory_xact_lock(4919131752989213765);
    for ahead in 0 .. 2 loop
        month := date_trunc('month', now(), 'UTC') + make_interval(months => ahead);
        foreach parent in array array['attempts', 'results'] loop
            part := parent || to_char(month at time zone 'UTC', '_YYYY_MM');
            if to_regclass('daybook.' || part) is null then
                execute format(
                    'create table %I partition of %I for values from (%L) to (%L)',
                    part, parent, month, month + interval '1 month');
                execute format('alter table %I enable row level security', part);
                execute format('alter table %I force row level security', part);
                execute format('grant select on %I to daybook_backup', part);
                execute format('create policy backup on %I for select
                    to daybook_backup using (true)', part);
            end if;
        end loop;
    end loop;
end $$;

-- How many rows each table has, each partition by itself; of those that who asks may see.
create function row_counts() returns table (name text, rows bigint)
language plpgsql stable
set search_path = daybook, pg_temp
as $$
begin
    for name in
        select relname from pg_class
        where relnamespace = 'daybook'::regnamespace and relkind = 'r'
        order by relname collate "C"
    loop
        execute format('select count(*) from %I', name) into rows;
        return next;
    end loop;
end $$;
revoke all on function row_counts from public;
grant execute on function row_counts to daybook_backup;
