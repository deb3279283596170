"""What can be done to incidents."""

from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.incidents.incident import Incident, Priority
from examples.construction_site.domain.sites import commands as sites


def report(
    desk: Desk,
    signalement_id: str,
    chantier_id: str,
    titre: str,
    description: str,
    priorite: Priority,
    by: str,
) -> Incident:
    """Report what is wrong on a site. Raises Invalid."""
    sites.check_open(desk, chantier_id)
    made = Incident(
        id=desk.named(f"signalements/{signalement_id}"),
        signalement_id=signalement_id,
        chantier_id=chantier_id,
        titre=titre,
        description=description,
        priorite=priorite,
        signale_par=by,
    )
    desk.record(made)
    return made


def tell(
    desk: Desk, signalement_id: str, titre: str, description: str, priorite: Priority
) -> Incident:
    """Tell it otherwise. Raises NotFound, Invalid."""
    found = load(desk, signalement_id)
    found.tell(titre, description, priorite)
    desk.record(found)
    return found


def close(desk: Desk, signalement_id: str, resolution: str, by: str) -> Incident:
    """End it. Raises NotFound, Invalid."""
    found = load(desk, signalement_id)
    found.close(resolution, by)
    desk.record(found)
    return found


def load(desk: Desk, signalement_id: str) -> Incident:
    """The incident as it is now. Raises NotFound."""
    return desk.load(Incident, f"signalements/{signalement_id}")
