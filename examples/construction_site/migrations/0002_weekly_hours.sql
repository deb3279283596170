-- The read model `weekly_hours`: what each worker booked in a week, and what is to be paid.
-- semaine: the week's Monday.
set local role daybook_owner;
set local search_path = daybook;

create table weekly_hours (
    tenant_id uuid not null,
    generation int not null,
    ouvrier_id text not null,
    semaine date not null,
    minutes_saisies bigint not null,
    minutes_validees bigint not null,
    primary key (tenant_id, generation, ouvrier_id, semaine)
) with (fillfactor = 80);
alter table weekly_hours enable row level security;
alter table weekly_hours force row level security;
create policy own_tenant on weekly_hours for select to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on weekly_hours to daybook_worker using (true) with check (true);
create policy backup on weekly_hours for select to daybook_backup using (true);
grant select on weekly_hours to daybook_app, daybook_backup;
grant select, insert, update, delete on weekly_hours to daybook_worker;

insert into checkpoints (name) values ('weekly_hours');
