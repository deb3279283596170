-- Notices: a sentence for each thing that happened to a site, written by handlers. A record,
-- not a read model: made once, so without a generation.
set local role daybook_owner;
set local search_path = daybook;

create table notices (
    tenant_id uuid not null,
    chantier_id text not null,
    position bigint not null,
    text text not null,
    at timestamptz not null,
    primary key (tenant_id, chantier_id, position)
);
alter table notices enable row level security;
alter table notices force row level security;
create policy own_tenant on notices for select to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on notices to daybook_worker using (true) with check (true);
create policy backup on notices for select to daybook_backup using (true);
grant select on notices to daybook_app, daybook_backup;
grant select, insert on notices to daybook_worker;

insert into checkpoints (name) values ('site_notices'), ('incident_notices');
