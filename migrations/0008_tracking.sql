-- Marks of the `eventsourcing` library's own readers: how far each has come.
set local role daybook_owner;
set local search_path = daybook;

-- For applications and projections that are run by the library and not by Daybook's runner,
-- which keeps `checkpoints`. name is the reader's: two that follow the same application
-- must not move each other's mark.
create table tracking (
    name text not null,
    application_name text not null,
    notification_id bigint not null,
    primary key (name, application_name)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 0);
alter table tracking enable row level security;
alter table tracking force row level security;
create policy platform on tracking to daybook_worker using (true) with check (true);
grant select, insert, update on tracking to daybook_worker;
