-- name: candidates
-- Of the events at these positions those that a replay may owe: not about the webhook
-- itself, and if it is for failed ones only, never delivered before (a result is kept in
-- the month of its event). Of what is older than results are kept nobody knows whether it
-- was: that is left out, or all that ever succeeded would be sent again as failed. With what
-- a payload filter asks for, where there is one.
select e.position, e.type, e.stream, e.source, e.subject, e.actor,
    case when %(with_content)s then e.state end as state,
    case when %(with_content)s then e.metadata end as metadata
from events e
where e.tenant_id = %(tenant_id)s and e.position = any(%(positions)s::bigint[])
    and e.stream <> %(own_stream)s and not starts_with(e.stream, %(own_stream)s || '/')
    and (not %(only_failed)s or e.recorded_at >= (select kept_since(%(tenant_id)s))
        and not exists (
            select from results r
            where r.tenant_id = e.tenant_id and r.webhook_id = %(webhook_id)s
                and r.position = e.position and r.recorded_at = e.recorded_at
                and r.state = 'succeeded'))
order by e.position

-- name: count
-- How many such events a piece of the log has, where no payload filter is asked: of a few
-- types, which the index finds, or of all that lie in ranges.
select count(*) as count
from events e
where e.tenant_id = %(tenant_id)s and e.position > %(after)s and e.position <= %(through)s
    and case when %(types)s::text[] is not null then e.type = any(%(types)s::text[])
        else exists (
            select from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
            where e.type ~>=~ r.low and e.type ~<~ r.high) end
    and (%(every_stream)s or exists (
        select from unnest(%(stream_lows)s::text[], %(stream_highs)s::text[])
            as r (low, high)
        where e.stream ~>=~ r.low and e.stream ~<~ r.high))
    and e.stream <> %(own_stream)s and not starts_with(e.stream, %(own_stream)s || '/')
    and (not %(only_failed)s or e.recorded_at >= (select kept_since(%(tenant_id)s))
        and not exists (
            select from results r
            where r.tenant_id = e.tenant_id and r.webhook_id = %(webhook_id)s
                and r.position = e.position and r.recorded_at = e.recorded_at
                and r.state = 'succeeded'))
