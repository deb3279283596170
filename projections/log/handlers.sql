-- name: events
-- What a handler is called for: the batch's events of its types, in the order of the log.
select tenant_id, event_id, position, type, topic, stream, version, subject, state, metadata,
    actor, correlation_id, causation_id, occurred_at, recorded_at
from events
where log_position > %(after)s and log_position <= %(through)s
    and log_position <> all(%(left_out)s)
    and exists (
        select from unnest(%(lows)s::text[], %(highs)s::text[]) as r (low, high)
        where type ~>=~ r.low and type ~<~ r.high)
order by log_position

-- name: at_work
-- Tells the server that whoever has this transaction is there.
select
