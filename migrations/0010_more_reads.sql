-- What is read beside: lists of streams, and by workers how far projections are.
set local role daybook_owner;
set local search_path = daybook;

-- In the order of bytes, so that a prefix is a range of the key, whatever order the
-- database's language has.
alter table stream_heads alter column stream type text collate "C";

-- The log position up to which a projection has come. What is beyond it, a reader that
-- wants no lag takes from the log.
create function posted_through(projection text) returns bigint
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select log_position from checkpoints where name = projection
$$;
reset role;
grant create on schema daybook to daybook_operator;  -- for the next statement only
alter function daybook.posted_through owner to daybook_operator;
revoke create on schema daybook from daybook_operator;
revoke all on function daybook.posted_through from public;
grant execute on function daybook.posted_through to daybook_app;

-- For a worker's metrics, and for `daybook doctor`, which looks as a worker does.
grant execute on function daybook.log_lag to daybook_worker;
