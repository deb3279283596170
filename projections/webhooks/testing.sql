-- name: take_test
-- A test delivery that somebody waits for; SKIP LOCKED: one worker takes it.
update test_requests t
set taken_at = clock_timestamp()
from (
    select tenant_id, request_id from test_requests
    where taken_at is null and asked_at > clock_timestamp() - interval '40 seconds'
    order by asked_at limit 1
    for update skip locked) n
join test_requests q using (tenant_id, request_id)
join webhooks w on w.tenant_id = q.tenant_id and w.webhook_id = q.webhook_id
where t.tenant_id = n.tenant_id and t.request_id = n.request_id
returning t.tenant_id, t.request_id, t.webhook_id, t.type, t.data, w.format,
    w.keep_response

-- name: answer_test
-- What came of it.
update test_requests set answer = %(answer)s
where tenant_id = %(tenant_id)s and request_id = %(request_id)s

-- name: forget_tests
-- Tests whose askers have gone.
delete from test_requests where asked_at < clock_timestamp() - interval '5 minutes'
