-- name: hand_off
-- From the events of one batch to what is owed, by the configuration in force at each
-- event's own position. Matching is a join on equal texts: a type stands for itself, for
-- each of its prefixes with a star, and for the bare star unless it is Daybook's own; then
-- come the streams of the webhook's version, and what its payload filter refused (see
-- `filters`) is left out.
-- Grows with the events of the batch times the patterns that match, not with webhooks.
with batch as materialized (
    select tenant_id, position, log_position, type, stream, recorded_at
    from events
    where log_position > %(after)s and log_position <= %(through)s
),
wanted as materialized (
    select t.type, p.pattern
    from (select distinct type from batch) t
    cross join lateral (
        select t.type as pattern
        union all
        select '*' where not starts_with(t.type, 'daybook.')
        union all
        select array_to_string(s.parts[1:n], '.') || '.*'
        from (select string_to_array(t.type, '.') as parts) s
        cross join generate_series(1, cardinality(s.parts) - 1) as n
    ) p
),
refused as materialized (
    select * from unnest(
        %(tenants)s::uuid[], %(webhooks)s::uuid[], %(positions)s::bigint[])
        as r (tenant_id, webhook_id, position)
),
-- Two patterns of one webhook may match the same event: it is owed once.
matched as (
    select distinct b.tenant_id, r.webhook_id, b.position, b.recorded_at, b.stream,
        r.version
    from batch b
    join wanted w on w.type = b.type
    join webhook_ranges r
        on r.tenant_id = b.tenant_id and r.pattern = w.pattern
        and r.to_position >= b.position and r.from_position <= b.position
    join webhook_versions v
        on v.tenant_id = r.tenant_id and v.webhook_id = r.webhook_id
        and v.version = r.version
    where r.own_stream <> b.stream and not starts_with(b.stream, r.own_stream || '/')
        and b.log_position <> all(%(left_out)s)
        and (v.streams = '{*}' or exists (
            select from unnest(v.streams) as s (pattern)
            where case when s.pattern like '%%*'
                then starts_with(b.stream, left(s.pattern, -1))
                else b.stream = s.pattern end))
        and (v.filter is null or not exists (
            select from refused x
            where x.tenant_id = b.tenant_id and x.webhook_id = r.webhook_id
                and x.position = b.position))
),
numbered as materialized (
    select m.*, s.sequence + row_number() over (
        partition by m.tenant_id, m.webhook_id order by m.position) as sequence
    from matched m
    join webhook_sequences s using (tenant_id, webhook_id)
),
counted as (
    update webhook_sequences s
    set sequence = n.last, handed_off = %(through)s
    from (
        select tenant_id, webhook_id, max(sequence) as last
        from numbered group by tenant_id, webhook_id) n
    where s.tenant_id = n.tenant_id and s.webhook_id = n.webhook_id
    returning s.webhook_id
),
inserted as (
    insert into owed (
        tenant_id, webhook_id, replay, position, recorded_at, sequence, webhook_version,
        stream)
    select n.tenant_id, n.webhook_id, 0, n.position, n.recorded_at, n.sequence, n.version,
        case when w.ordering = 'stream' then n.stream end
    from numbered n
    join webhooks w using (tenant_id, webhook_id)
    order by n.tenant_id, n.webhook_id, n.position
    returning 1
)
select (select count(*) from batch) as events,
    (select count(*) from inserted) as owed,
    (select array_agg(webhook_id) from counted) as webhooks

-- name: filters
-- The payload filters that were in force anywhere in a batch. Most tenants have none, and
-- the index of those that exist says so at once.
with span as materialized (
    select tenant_id, min(position) as first, max(position) as last
    from events
    where log_position > %(after)s and log_position <= %(through)s
    group by tenant_id
)
select v.tenant_id, v.webhook_id, v.version, v.filter::text
from webhook_versions v
join span s using (tenant_id)
where v.filter is not null and exists (
    select from webhook_ranges r
    where r.tenant_id = v.tenant_id and r.webhook_id = v.webhook_id
        and r.version = v.version
        and r.to_position >= s.first and r.from_position <= s.last)

-- name: to_filter
-- The events of a batch that a payload filter has to judge, each with the versions of
-- webhooks whose filters those are. By type only: what the streams leave out is judged in
-- vain, seldom.
select e.tenant_id, e.position, e.type, e.stream, e.subject, e.source, e.actor, e.state,
    e.metadata, m.webhooks, m.versions
from events e
cross join lateral (
    select array_agg(f.webhook_id) as webhooks, array_agg(f.version) as versions
    from unnest(%(tenants)s::uuid[], %(webhooks)s::uuid[], %(versions)s::int[])
        as f (tenant_id, webhook_id, version)
    where f.tenant_id = e.tenant_id and exists (
        select from webhook_ranges r
        where r.tenant_id = f.tenant_id and r.webhook_id = f.webhook_id
            and r.version = f.version
            and r.to_position >= e.position and r.from_position <= e.position
            and case
                when r.pattern = '*' then not starts_with(e.type, 'daybook.')
                when r.pattern like '%%.*' then starts_with(e.type, left(r.pattern, -1))
                else e.type = r.pattern end)) m
where e.log_position > %(after)s and e.log_position <= %(through)s
    and m.webhooks is not null
order by e.log_position
