-- name: schema_version
-- The last migration of ours that was applied; those of other contexts have a slash.
select coalesce(max(version), '0000') as version
from public.schema_migrations where version not like '%%/%%'

-- name: without_checkpoint
-- Of these projections, those whose migration was not applied: they are in no list, and
-- cannot run.
select wanted.name
from unnest(%(names)s::text[]) as wanted (name)
where not exists (select from checkpoints c where c.name = wanted.name)
order by 1

-- name: checkpoints
-- How far each projection is. One that has nothing to do does not move either, so it is
-- stuck only from when the first event it has not seen was recorded. Paused is somebody's
-- wish, so it comes before whatever else would keep the projection from moving.
select c.name, c.version,
    case
        when c.paused_by is not null then 'paused'
        when c.needs is not null then 'needs_newer_code'
        when c.error is not null then 'stopped'
        else 'running'
    end as state,
    c.paused_by, g.events as lag_events,
    extract(epoch from clock_timestamp() - c.advanced_at)::float8
        as seconds_since_advance,
    case when g.waiting_since is null then 0
        else extract(epoch from
            clock_timestamp() - greatest(c.advanced_at, g.waiting_since))::float8
    end as stuck_seconds,
    c.error
from checkpoints c
cross join lateral log_lag(c.log_position) g
order by c.name
