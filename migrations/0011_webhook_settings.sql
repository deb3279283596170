-- What more a webhook can be set to: which streams and payloads, in which form, signed how,
-- how fast, in which order, and what follows from failure.
set local role daybook_owner;
set local search_path = daybook;

-- header_names: the headers' values are secrets and stand in webhook_headers. networks: null,
-- or the blocks in one of which every address of the host must lie.
alter table webhooks
    add column streams text[] not null default '{*}',
    add column filter jsonb,
    add column header_names text[] not null default '{}',
    add column headers_version int not null default 0,
    add column format text not null default 'standard'
        check (format in ('standard', 'raw', 'cloudevents', 'cloudevents_binary')),
    add column signing text[] not null default '{v1}',
    add column rate_per_second double precision,
    add column ordering text not null default 'none' check (ordering in ('none', 'stream')),
    add column on_dead text not null default 'continue'
        check (on_dead in ('continue', 'hold')),
    add column disable_failures int not null default 10,
    add column disable_over_seconds int not null default 86400,
    add column keep_response boolean not null default false,
    add column networks text[],
    -- A preset's name, or {delays, jitter, max_age_seconds}.
    alter column retry type jsonb using to_jsonb(retry);

-- v1: the key of an HMAC. v1a: the seed of an Ed25519 key, with its public half beside it.
-- expires_at: null while the secret is the current one; set when the next one comes, and
-- until then both sign.
alter table webhook_secrets
    add column scheme text not null default 'v1' check (scheme in ('v1', 'v1a')),
    add column expires_at timestamptz,
    add column public_key text,
    drop constraint webhook_secrets_pkey,
    add primary key (tenant_id, webhook_id, version, scheme);

-- The values of a webhook's headers: a JSON object, name to value, sealed. version is the
-- webhook's at which they were set: its headers_version.
create table webhook_headers (
    tenant_id uuid not null,
    webhook_id uuid not null,
    version int not null,
    key_id text not null,
    sealed bytea not null,
    primary key (tenant_id, webhook_id, version)
);

-- What belongs to one version of a webhook for ever: by which streams and payloads it chose
-- its events beside their types, and in which form those are sent. `webhook_ranges` and
-- `owed` name the version, so an event is matched and rendered by the configuration in
-- force at its own position, however late or often that is done. Versions that changed no
-- settings (enabled, disabled) have no row; no range names them.
create table webhook_versions (
    tenant_id uuid not null,
    webhook_id uuid not null,
    version int not null,
    streams text[] not null,
    filter jsonb,
    format text not null,
    primary key (tenant_id, webhook_id, version)
);

do $$
declare
    name text;
begin
    foreach name in array array['webhook_headers', 'webhook_versions'] loop
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
        execute format('create policy backup on %I for select to daybook_backup
            using (true)', name);
        execute format('grant select on %I to daybook_backup', name);
    end loop;
end $$;
grant select, insert on webhook_headers, webhook_versions to daybook_app;
grant select, insert on webhook_versions to daybook_worker;
-- update: when DAYBOOK_SECRET_KEYS gets another first key, workers seal anew.
grant select, update on webhook_headers to daybook_worker;
grant update on webhook_secrets to daybook_worker;

-- Every version that a range names; the owner of a walled table sees nothing in it.
set local role daybook_worker;
insert into webhook_versions (tenant_id, webhook_id, version, streams, format)
select distinct tenant_id, webhook_id, version, '{*}'::text[], 'standard'
from webhook_ranges;
