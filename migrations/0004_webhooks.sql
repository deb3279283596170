-- Webhooks and event types: models written in the transaction of the event that changes
-- them, and the ranges that say which configuration was in force at which position.
set local role daybook_owner;
set local search_path = daybook;

-- A webhook as it is now. number: 1, 2, 3 ... within the tenant, part of delivery ids.
create table webhooks (
    tenant_id uuid not null,
    webhook_id uuid not null,
    number int not null,
    url text not null,
    name text,
    description text,
    event_types text[] not null,
    retry text not null,
    timeout_seconds int not null,
    max_in_flight int not null,
    metadata jsonb not null,
    state text not null check (state in ('active', 'disabled', 'deleted')),
    disabled_at timestamptz,
    disabled_reason text,
    disabled_position bigint,
    version int not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, webhook_id)
);
create unique index webhooks_by_number on webhooks (tenant_id, number);

-- The secrets webhooks sign with, sealed (AES-256-GCM); key_id names the key that opens it.
-- Never in the log. A new version is a new row: each attempt names the one it used.
create table webhook_secrets (
    tenant_id uuid not null,
    webhook_id uuid not null,
    version int not null,
    key_id text not null,
    sealed bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, webhook_id, version)
);

-- Configuration in force: pattern p of a webhook matches the events at positions
-- from_position .. to_position, both inclusive, and no others. A change at position c ends
-- the ranges at c and begins new ones at c + 1, in the transaction that appends it; so what
-- is owed is a function of the log alone, whenever the handoff runs.
-- own_stream is the webhook's stream: an event about a webhook is never owed to it.
create table webhook_ranges (
    tenant_id uuid not null,
    pattern text not null,
    to_position bigint not null,
    from_position bigint not null,
    webhook_id uuid not null,
    version int not null,
    own_stream text not null,
    primary key (tenant_id, pattern, to_position, webhook_id, version)
);
create index webhook_ranges_open on webhook_ranges (tenant_id, webhook_id)
    where to_position = 9223372036854775807;

-- An event type somebody declared.
create table event_types (
    tenant_id uuid not null,
    type text not null,
    description text,
    example jsonb,
    deprecated boolean not null,
    version int not null,
    updated_at timestamptz not null,
    primary key (tenant_id, type)
);

do $$
declare
    name text;
begin
    foreach name in array array[
        'webhooks', 'webhook_secrets', 'webhook_ranges', 'event_types'
    ] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy own_tenant on %I to daybook_app
                using (tenant_id = (select current_setting(''app.tenant_id'')::uuid))
                with check (tenant_id = (select current_setting(''app.tenant_id'')::uuid))',
            name);
        execute format(
            'create policy all_tenants on %I to daybook_worker
                using (true) with check (true)', name);
    end loop;
end $$;
grant select, insert, update on webhooks, webhook_secrets, event_types to daybook_app;
grant select, insert, update, delete on webhook_ranges to daybook_app;
grant select, update on webhooks to daybook_worker;
grant select on webhook_secrets, event_types to daybook_worker;
grant select, insert, update, delete on webhook_ranges to daybook_worker;
