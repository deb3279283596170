-- name: describe
-- What the batch's events say of sites: of each member the last word.
insert into site_board (
    tenant_id, generation, chantier_id, nom, adresse, statut, deleted)
select e.tenant_id, %(generation)s, d.data ->> 'chantier_id',
    (array_agg(d.data ->> 'nom' order by e.position desc)
        filter (where d.data ? 'nom'))[1],
    (array_agg(d.data ->> 'adresse' order by e.position desc)
        filter (where d.data ? 'adresse'))[1],
    (array_agg(coalesce(d.data ->> 'nouveau_statut', d.data ->> 'statut')
            order by e.position desc)
        filter (where d.data ?| '{statut,nouveau_statut}'))[1],
    bool_or(e.topic = 'chantier.deleted')
from events e
cross join lateral (select convert_from(e.state, 'utf8')::jsonb as data) d
where e.log_position > %(after)s and e.log_position <= %(through)s
    and (%(tenant_id)s::uuid is null or e.tenant_id = %(tenant_id)s::uuid)
    and e.log_position <> all(%(left_out)s)
    and e.topic in (
        'chantier.created', 'chantier.updated', 'chantier.statut_changed',
        'chantier.deleted')
group by 1, 2, 3
on conflict (tenant_id, generation, chantier_id) do update
set nom = coalesce(excluded.nom, site_board.nom),
    adresse = coalesce(excluded.adresse, site_board.adresse),
    statut = coalesce(excluded.statut, site_board.statut),
    deleted = site_board.deleted or excluded.deleted

-- name: count
-- What the batch's events add to the sites' counts. An assignment that moves to another site
-- counts at two: less at the one, more at the other.
insert into site_board (
    tenant_id, generation, chantier_id, affectations, signalements_ouverts,
    minutes_saisies, minutes_validees)
select e.tenant_id, %(generation)s, c.chantier_id, sum(c.affectations),
    sum(c.signalements), sum(c.saisies), sum(c.validees)
from events e
cross join lateral (select convert_from(e.state, 'utf8')::jsonb as data) d
cross join lateral (
    select d.data ->> 'chantier_id' as chantier_id,
        case e.topic when 'affectation.created' then 1 when 'affectation.updated' then 1
            when 'affectation.deleted' then -1 else 0 end as affectations,
        case e.topic when 'signalement.created' then 1 when 'signalement.closed' then -1
            else 0 end as signalements,
        case e.topic
            when 'heures.created' then (d.data ->> 'minutes')::int
            when 'heures.updated'
                then (d.data ->> 'minutes')::int - (d.data ->> 'anciennes_minutes')::int
            when 'heures.rejected' then -(d.data ->> 'minutes')::int
            else 0 end as saisies,
        case e.topic when 'heures.validated' then (d.data ->> 'minutes')::int
            else 0 end as validees
    union all
    select d.data ->> 'ancien_chantier_id', -1, 0, 0, 0
    where e.topic = 'affectation.updated') c
where e.log_position > %(after)s and e.log_position <= %(through)s
    and (%(tenant_id)s::uuid is null or e.tenant_id = %(tenant_id)s::uuid)
    and e.log_position <> all(%(left_out)s)
    and e.topic in (
        'affectation.created', 'affectation.updated', 'affectation.deleted',
        'signalement.created', 'signalement.closed', 'heures.created', 'heures.updated',
        'heures.rejected', 'heures.validated')
group by 1, 2, 3
on conflict (tenant_id, generation, chantier_id) do update
set affectations = site_board.affectations + excluded.affectations,
    signalements_ouverts
        = site_board.signalements_ouverts + excluded.signalements_ouverts,
    minutes_saisies = site_board.minutes_saisies + excluded.minutes_saisies,
    minutes_validees = site_board.minutes_validees + excluded.minutes_validees

-- name: checksum
-- How many rows, and a sum over them that any difference changes.
select count(*) as rows,
    coalesce(sum(hashtextextended(b::text, 0)::numeric), 0)::text as sum
from (
    select tenant_id, chantier_id, nom, adresse, statut, deleted, affectations,
        signalements_ouverts, minutes_saisies, minutes_validees
    from site_board where generation = %(generation)s) b

-- name: clear
-- Some rows go that are of none of the generations in use.
with gone as (
    delete from site_board
    where ctid = any (array(
        select ctid from site_board where generation <> all(%(keep)s) limit %(most)s))
    returning 1
)
select count(*) as rows from gone

-- name: clear_tenant
-- A tenant's rows go, to be made anew in the same transaction.
delete from site_board
where tenant_id = %(tenant_id)s and generation = %(generation)s

-- name: sites_forwards
-- A page of the sites that were not removed, by id.
select chantier_id, nom, adresse, statut, affectations, signalements_ouverts,
    minutes_saisies, minutes_validees
from site_board
where tenant_id = %(tenant_id)s and generation = live_generation('site_board')
    and not deleted and chantier_id > %(key)s
order by chantier_id
limit %(limit)s

-- name: sites_backwards
-- The same, backwards.
select chantier_id, nom, adresse, statut, affectations, signalements_ouverts,
    minutes_saisies, minutes_validees
from site_board
where tenant_id = %(tenant_id)s and generation = live_generation('site_board')
    and not deleted and chantier_id < %(key)s
order by chantier_id desc
limit %(limit)s
