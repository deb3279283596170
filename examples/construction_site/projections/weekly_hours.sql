-- name: apply
-- Add what the batch's events change of each worker's weeks. Rejected hours do not count, so
-- what they were is taken away again.
insert into weekly_hours (
    tenant_id, generation, ouvrier_id, semaine, minutes_saisies, minutes_validees)
select e.tenant_id, %(generation)s, d.data ->> 'ouvrier_id',
    date_trunc('week', (d.data ->> 'date')::date)::date,
    sum(case e.topic
        when 'heures.created' then (d.data ->> 'minutes')::int
        when 'heures.updated'
            then (d.data ->> 'minutes')::int - (d.data ->> 'anciennes_minutes')::int
        when 'heures.rejected' then -(d.data ->> 'minutes')::int
        else 0 end),
    sum(case e.topic when 'heures.validated' then (d.data ->> 'minutes')::int else 0 end)
from events e
cross join lateral (select convert_from(e.state, 'utf8')::jsonb as data) d
where e.log_position > %(after)s and e.log_position <= %(through)s
    and (%(tenant_id)s::uuid is null or e.tenant_id = %(tenant_id)s::uuid)
    and e.log_position <> all(%(left_out)s)
    and e.topic in (
        'heures.created', 'heures.updated', 'heures.rejected', 'heures.validated')
group by 1, 2, 3, 4
on conflict (tenant_id, generation, ouvrier_id, semaine) do update
set minutes_saisies = weekly_hours.minutes_saisies + excluded.minutes_saisies,
    minutes_validees = weekly_hours.minutes_validees + excluded.minutes_validees

-- name: checksum
-- How many rows, and a sum over them that any difference changes.
select count(*) as rows,
    coalesce(sum(hashtextextended(
        tenant_id || '/' || ouvrier_id || '/' || semaine || '/' || minutes_saisies || '/'
            || minutes_validees, 0)::numeric), 0)::text as sum
from weekly_hours where generation = %(generation)s

-- name: clear
-- Some rows go that are of none of the generations in use.
with gone as (
    delete from weekly_hours
    where ctid = any (array(
        select ctid from weekly_hours where generation <> all(%(keep)s) limit %(most)s))
    returning 1
)
select count(*) as rows from gone

-- name: clear_tenant
-- A tenant's rows go, to be made anew in the same transaction.
delete from weekly_hours
where tenant_id = %(tenant_id)s and generation = %(generation)s

-- name: weeks
-- A worker's last weeks, the newest first.
select semaine, minutes_saisies, minutes_validees
from weekly_hours
where tenant_id = %(tenant_id)s and generation = live_generation('weekly_hours')
    and ouvrier_id = %(ouvrier_id)s
order by semaine desc
limit %(limit)s
