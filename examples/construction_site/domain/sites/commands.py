"""What can be done to sites."""

from domain.errors import NotFound
from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.sites.site import Site, Status
from examples.construction_site.domain.words import refused


def create(desk: Desk, chantier_id: str, nom: str, adresse: str) -> Site:
    """Open a site."""
    made = Site(
        id=desk.named(f"chantiers/{chantier_id}"),
        chantier_id=chantier_id,
        nom=nom,
        adresse=adresse,
    )
    desk.record(made)
    return made


def update(desk: Desk, chantier_id: str, nom: str, adresse: str) -> Site:
    """Change what it is called, or where it is. Raises NotFound."""
    found = load(desk, chantier_id)
    found.describe(nom, adresse)
    desk.record(found)
    return found


def move(desk: Desk, chantier_id: str, statut: Status) -> Site:
    """Move it on to another status. Raises NotFound, Invalid."""
    found = load(desk, chantier_id)
    found.move(statut)
    desk.record(found)
    return found


def delete(desk: Desk, chantier_id: str) -> None:
    """Remove it. Raises NotFound, Invalid."""
    found = load(desk, chantier_id)
    found.delete()
    desk.record(found)


def load(desk: Desk, chantier_id: str) -> Site:
    """The site as it is now; a removed one is an absent one. Raises NotFound."""
    found = desk.load(Site, f"chantiers/{chantier_id}")
    if found.is_deleted:
        raise NotFound
    return found


def check_open(desk: Desk, chantier_id: str) -> None:
    """Whether work can be planned and booked there. Raises Invalid."""
    try:
        load(desk, chantier_id).check_open()
    except NotFound:
        raise refused("there is no such site", "#/chantier_id") from None
