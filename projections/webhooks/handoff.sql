-- name: hand_off
-- From the events of one batch to what is owed, by the configuration in force at each
-- event's own position. Matching is a join on equal texts: a type stands for itself, for
-- each of its prefixes with a star, and for the bare star unless it is Daybook's own.
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
-- Two patterns of one webhook may match the same event: it is owed once.
matched as (
    select distinct b.tenant_id, r.webhook_id, b.position, b.recorded_at, b.stream,
        r.version
    from batch b
    join wanted w on w.type = b.type
    join webhook_ranges r
        on r.tenant_id = b.tenant_id and r.pattern = w.pattern
        and r.to_position >= b.position and r.from_position <= b.position
    where r.own_stream <> b.stream and not starts_with(b.stream, r.own_stream || '/')
        and b.log_position <> all(%(left_out)s)
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
