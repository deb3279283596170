-- name: deaths_to_tell
-- Dead deliveries of our webhooks that no report has told of, where the last report is
-- long enough ago.
select d.tenant_id, d.webhook_id, d.count, d.since, d.last_position, d.reports, l.epoch
from webhook_deaths d
join lanes l on l.tenant_id = d.tenant_id and l.webhook_id = d.webhook_id and l.replay = 0
where l.owner = %(owner)s and d.count > 0
    and (d.reported_at is null
        or d.reported_at < clock_timestamp() - make_interval(secs => %(pause)s))

-- name: deaths_told
-- Part of the command that appends a report: those it counts are told of. Ends the command
-- when another was quicker.
with told as (
    update webhook_deaths
    set count = count - %(count)s, reports = reports + 1,
        reported_at = clock_timestamp(),
        since = case when count > %(count)s then clock_timestamp() end
    where tenant_id = %(tenant_id)s and webhook_id = %(webhook_id)s
        and reports = %(reports)s
    returning 1
)
select require(exists (select from told), 'told_already', '')
