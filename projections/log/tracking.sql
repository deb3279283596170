-- name: track
-- Move a reader's mark forward; where it has been, or beyond, ends the transaction.
with moved as (
    insert into tracking (name, application_name, notification_id)
    values (%(name)s, %(application_name)s, %(notification_id)s)
    on conflict (name, application_name) do update
    set notification_id = excluded.notification_id
    where tracking.notification_id < excluded.notification_id
    returning notification_id)
select require(exists (select from moved), 'tracked_already', '')

-- name: tracked
-- A reader's mark.
select notification_id
from tracking
where name = %(name)s and application_name = %(application_name)s
