-- name: apply
-- Where each stream of the batch is now: its last event there.
insert into stream_heads (tenant_id, generation, stream, version, position, updated_at)
select distinct on (tenant_id, stream)
    tenant_id, %(generation)s, stream, version, position, recorded_at
from events
where log_position > %(after)s and log_position <= %(through)s
    and (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s::uuid)
    and log_position <> all(%(left_out)s)
order by tenant_id, stream, version desc
on conflict (tenant_id, generation, stream) do update
set version = excluded.version, position = excluded.position,
    updated_at = excluded.updated_at

-- name: checksum
-- How many rows, and a sum over them that any difference changes.
select count(*) as rows,
    coalesce(sum(hashtextextended(
        tenant_id::text || '/' || stream || '/' || version || '/' || position, 0)
        ::numeric), 0)::text as sum
from stream_heads where generation = %(generation)s

-- name: clear
-- Some rows go that are of none of the generations in use.
with gone as (
    delete from stream_heads
    where ctid = any (array(
        select ctid from stream_heads where generation <> all(%(keep)s) limit %(most)s))
    returning 1
)
select count(*) as rows from gone

-- name: clear_tenant
-- A tenant's rows go, to be made anew in the same transaction.
delete from stream_heads
where tenant_id = %(tenant_id)s and generation = %(generation)s
