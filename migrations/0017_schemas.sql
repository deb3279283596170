-- Event types have a schema that their events must keep, and fields left out of bodies.
set local role daybook_owner;
set local search_path = daybook;

-- schema: as it was sent, in its order. schema_version: 1, 2, 3 ... with each other schema of
-- the type; null without one. secret_fields: JSON pointers into `data`.
alter table event_types
    add column schema json,
    add column schema_version int,
    add column secret_fields text[] not null default '{}';
create index event_types_with_schema on event_types (tenant_id, type)
    where schema is not null;

-- Of the events of a type at positions from_position .. to_position, both inclusive, these
-- fields are left out of what webhooks are sent. It moves with the log like webhook_ranges,
-- so a body is a function of the log, whenever it is made.
create table secret_field_ranges (
    tenant_id uuid not null,
    type text not null,
    to_position bigint not null,
    from_position bigint not null,
    secret_fields text[] not null,
    primary key (tenant_id, type, to_position)
);
alter table secret_field_ranges enable row level security;
alter table secret_field_ranges force row level security;
create policy own_tenant on secret_field_ranges to daybook_app
    using (tenant_id = (select current_setting('app.tenant_id')::uuid))
    with check (tenant_id = (select current_setting('app.tenant_id')::uuid));
create policy all_tenants on secret_field_ranges for select to daybook_worker using (true);
create policy backup on secret_field_ranges for select to daybook_backup using (true);
grant select, insert, update on secret_field_ranges to daybook_app;
grant select on secret_field_ranges to daybook_worker, daybook_backup;
