-- The read model `site_board`: a line for each site. An event may come before the one that
-- names the site (they are of two streams, and one may be parked), so names may be absent.
set local role daybook_owner;
set local search_path = daybook;

create table site_board (
    tenant_id uuid not null,
    generation int not null,
    chantier_id text not null,
    nom text,
    adresse text,
    statut text,
    deleted boolean not null default false,
    affectations bigint not null default 0,
    signalements_ouverts bigint not null default 0,
    minutes_saisies bigint not null default 0,
    minutes_validees bigint not null default 0,
    primary key (tenant_id, generation, chantier_id)
) with (fillfactor = 80);
alter table site_board enable row level security;
alter table site_board force row level security;
create policy own_tenant on site_board for select to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on site_board to daybook_worker using (true) with check (true);
create policy backup on site_board for select to daybook_backup using (true);
grant select on site_board to daybook_app, daybook_backup;
grant select, insert, update, delete on site_board to daybook_worker;

insert into checkpoints (name) values ('site_board');
