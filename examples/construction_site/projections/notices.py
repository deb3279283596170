"""Notices: a sentence for each thing that happened to a site, put up by handlers.

Two handlers, each with a place of its own in the log: an incident that cannot be put into
words keeps no site's notice from going up.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from projections import rows
from projections.log.handlers import Event, Handler
from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("examples.construction_site.projections", "notices.sql")
MOST = 100
SENTENCES = {
    "chantier.created": "{nom} is opened: {adresse}",
    "chantier.updated": "Now {nom}: {adresse}",
    "chantier.statut_changed": "From {ancien_statut} to {nouveau_statut}",
    "chantier.deleted": "Removed",
    "signalement.created": "{signale_par} reports ({priorite}): {titre}",
    "signalement.updated": "Told otherwise ({priorite}): {titre}",
    "signalement.closed": "{ferme_par} has put it right: {resolution}",
}


class Notice(NamedTuple):
    """One notice; `position` is its event's."""

    position: int
    text: str
    at: datetime


async def put_up(connection: Connection, event: Event) -> None:
    """A notice of the event."""
    if event.is_published:
        return  # from before commands alone recorded such types
    # A wildcard brings types of tomorrow as well.
    sentence = SENTENCES.get(event.type, event.type)
    notice = {
        "tenant_id": event.tenant_id,
        "chantier_id": event.data["chantier_id"],
        "position": event.position,
        "text": sentence.format_map(event.data),
        "at": event.occurred_at,
    }
    await connection.execute(QUERIES["put_up"], notice)


HANDLERS = (
    Handler("site_notices", ["chantier.*"], put_up),
    Handler("incident_notices", ["signalement.*"], put_up),
)


async def of_site(
    connection: Connection, tenant_id: UUID, chantier_id: str
) -> list[Notice]:
    """The last notices of a site, the newest first."""
    params = {"tenant_id": tenant_id, "chantier_id": chantier_id, "limit": MOST}
    return await rows.many(connection, Notice, QUERIES["of_site"], params)
