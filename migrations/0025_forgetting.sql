-- What is kept no longer is deleted by workers; a month of which nothing is left is dropped.
set local role daybook_owner;
set local search_path = daybook;

grant delete on attempts to daybook_worker;

-- Drops one partition that ended three months ago and holds nothing: all its rows have been
-- deleted, and vacuum has cut its file to nothing. (Not "has no rows": its owner sees none,
-- row-level security is forced.) Its name; null when there is none.
--
-- The parent is locked against everybody for the drop, and waited for half a second at most,
-- as others wait behind it; one parent a call, parent first, as statements lock them. What
-- was written meanwhile is seen by the second look at its size, and it stays. A crash undoes
-- all of it.
create function drop_empty_partition() returns text
language plpgsql security definer
set search_path = daybook, pg_temp
set lock_timeout = '500ms'
as $$
declare
    found record;
begin
    for found in
        select c.oid, c.relname as part, p.relname as parent
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_class p on p.oid = i.inhparent
        where p.relnamespace = 'daybook'::regnamespace
            and p.relname in ('attempts', 'results')
            and c.relname ~ '_\d{4}_\d{2}$' and pg_relation_size(c.oid) = 0
            and to_date(right(c.relname, 7), 'YYYY_MM') < now() - interval '4 months'
        order by c.relname
    loop
        begin
            execute format('lock table only %I in access exclusive mode', found.parent);
            execute format('lock table %I in access exclusive mode', found.part);
            if pg_relation_size(found.oid) = 0 then
                execute format('drop table %I', found.part);
                return found.part;
            end if;
        exception
            -- Somebody reads it for longer, or another worker drops it: the next one, the
            -- next time.
            when lock_not_available or undefined_table then null;
        end;
    end loop;
    return null;
end $$;
revoke all on function drop_empty_partition from public;
grant execute on function drop_empty_partition to daybook_worker;
