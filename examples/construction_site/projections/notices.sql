-- name: put_up
-- One more notice, in the transaction in which the handler's place moves on.
insert into notices (tenant_id, chantier_id, position, text, at)
values (%(tenant_id)s, %(chantier_id)s, %(position)s, %(text)s, %(at)s)

-- name: of_site
-- A site's last notices, the newest first.
select position, text, at from notices
where tenant_id = %(tenant_id)s and chantier_id = %(chantier_id)s
order by position desc
limit %(limit)s
