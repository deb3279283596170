-- name: owed
-- What is still to be delivered. A backlog may be millions of rows, and this is asked every
-- few seconds: no more than so many are looked at, and the figures stop there.
select (select count(*) from (select from owed limit %(most)s) o) as owed,
    (select count(*) from (
        select from owed where next_attempt_at is not null limit %(most)s) r) as retrying

-- name: workers
-- Who lives, and for how many webhooks none of them is there; of so many that are looked at.
select (select count(*) from owners where lease_until > clock_timestamp()) as alive,
    (select count(*) from (
        select owner from lanes where replay = 0 limit %(most)s) l
     where not exists (
        select from owners o
        where o.owner = l.owner and o.lease_until > clock_timestamp())) as orphans
