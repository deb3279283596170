-- name: take
-- Takes from quotas, over all processes; see take_quotas.
select bucket, granted, used, seconds_left
from take_quotas(
    %(buckets)s::text[], %(wanted)s::bigint[], %(quotas)s::bigint[],
    %(seconds)s::double precision[])

-- name: forget_windows
-- Windows that have ended; a step of what may be many.
with gone as (
    delete from rate_windows
    where bucket in (
        select bucket from rate_windows
        where ends_at < clock_timestamp() - interval '1 minute'
        limit %(most)s
        for update skip locked)
    returning 1)
select count(*)::int as gone from gone
