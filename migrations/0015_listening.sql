-- Streams for integrators: where tenants' logs end, consumers and their places, tickets.
set local role daybook_owner;
set local search_path = daybook;

-- Where the logs of these tenants end: one look for a process that has listeners of many.
-- Figures without content.
create function log_heads(tenants uuid[])
returns table (tenant_id uuid, head bigint)
language sql stable security definer
set search_path = daybook, pg_temp
as $$
    select t.tenant_id, coalesce((
        select e.position from events e where e.tenant_id = t.tenant_id
        order by e.position desc limit 1), 0)
    from unnest(tenants) as t (tenant_id)
$$;

-- A consumer as it is configured; made of events. created_position: of its first one, which
-- puts consumers in order. filter: as it was sent, so json and not jsonb.
create table consumers (
    tenant_id uuid not null,
    name text collate "C" not null,
    event_types text[] not null,
    streams text[] not null,
    filter json,
    start json not null,
    created_position bigint not null,
    version int not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, name)
);
create unique index consumers_in_order on consumers (tenant_id, created_position);

-- How far each has acknowledged. Begun and moved by events, but acknowledgements are only
-- here: each would move the log it follows. So this is a record, never made again.
create table consumer_positions (
    tenant_id uuid not null,
    name text collate "C" not null,
    position bigint not null,
    moved_at timestamptz not null,
    primary key (tenant_id, name)
);
-- The same row again and again: room for the next version on the same page.
alter table consumer_positions set (fillfactor = 50);

-- Tickets that stand for a key, once, in a URL. digest is SHA-256 of the ticket, which has
-- 256 random bits; key_digest that of the key, as in api_keys.
create table tickets (
    tenant_id uuid not null,
    digest bytea not null unique,
    key_digest bytea not null,
    expires_at timestamptz not null,
    primary key (tenant_id, digest)
);

do $$
declare
    name text;
begin
    foreach name in array array['consumers', 'consumer_positions', 'tickets'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy own_tenant on %I to daybook_app
                using (tenant_id = (select current_setting(''app.tenant_id'')::uuid))
                with check (tenant_id = (select current_setting(''app.tenant_id'')::uuid))',
            name);
        execute format('create policy backup on %I for select to daybook_backup
            using (true)', name);
        execute format('grant select on %I to daybook_backup', name);
    end loop;
end $$;
grant select, insert, update, delete on consumers, consumer_positions to daybook_app;
grant select, insert, delete on tickets to daybook_app;
create policy all_tenants on tickets to daybook_operator using (true) with check (true);
grant select, delete on tickets to daybook_operator;

-- Uses up a ticket: whose it is, and which key it stands for. Before the answer there is no
-- tenant, as for a key. The row goes in the statement that reads it, so of two that come
-- with one ticket the second waits for the first, and then finds nothing.
create function redeem_ticket(ticket_digest bytea)
returns table (tenant_id uuid, key_digest bytea)
language sql volatile security definer
set search_path = daybook, pg_temp
as $$
    with used as (
        delete from tickets t where t.digest = ticket_digest
        returning t.tenant_id, t.key_digest, t.expires_at)
    select u.tenant_id, u.key_digest from used u where u.expires_at > clock_timestamp()
$$;

reset role;
grant create on schema daybook to daybook_log, daybook_operator;  -- for these two only
alter function daybook.log_heads owner to daybook_log;
alter function daybook.redeem_ticket owner to daybook_operator;
revoke create on schema daybook from daybook_log, daybook_operator;
revoke all on function daybook.log_heads, daybook.redeem_ticket from public;
grant execute on function daybook.log_heads to daybook_operator;
grant execute on function daybook.redeem_ticket to daybook_app;
