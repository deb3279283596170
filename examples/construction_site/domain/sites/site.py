"""A site: its name, its address, and how far it has come."""

from typing import Literal

from eventsourcing.domain import event

from domain.catalog import Meaning
from domain.model import Aggregate
from examples.construction_site.domain.words import Id, Line, refused

Status = Literal["ouvert", "en_cours", "suspendu", "receptionne", "ferme"]
# From each status, those that may follow.
FOLLOWING: dict[str, tuple[Status, ...]] = {
    "ouvert": ("en_cours", "ferme"),
    "en_cours": ("suspendu", "receptionne"),
    "suspendu": ("en_cours", "ferme"),
    "receptionne": ("ferme",),
    "ferme": (),
}
AT_WORK = ("en_cours", "suspendu", "receptionne")

_ID = "villa-lumiere"
_PLACE = {"nom": "Villa Lumière", "adresse": "12 chemin des Vignes, Annecy"}
MEANINGS = {
    "chantier.created": Meaning(
        "A site is opened", {"chantier_id": _ID, **_PLACE, "statut": "ouvert"}
    ),
    "chantier.updated": Meaning(
        "A site has another name or address", {"chantier_id": _ID, **_PLACE}
    ),
    "chantier.statut_changed": Meaning(
        "A site has come further",
        {
            "chantier_id": _ID,
            "ancien_statut": "ouvert",
            "nouveau_statut": "en_cours",
        },
    ),
    "chantier.deleted": Meaning("A site is removed", {"chantier_id": _ID}),
}


class Site(Aggregate):
    """A construction site; its stream is `chantiers/<id>`."""

    TOPIC = "construction_site/chantier"

    @event("Created", topic="chantier.created")
    def __init__(
        self,
        id: str,
        chantier_id: Id,
        nom: Line,
        adresse: Line,
        statut: Status = "ouvert",
    ) -> None:
        self.chantier_id = chantier_id
        self.nom, self.adresse = nom, adresse
        self.statut: Status = statut
        self.is_deleted = False

    def describe(self, nom: str, adresse: str) -> None:
        """Give it another name or address; nothing when nothing differs."""
        if (nom, adresse) != (self.nom, self.adresse):
            self._describe(self.chantier_id, nom, adresse)

    @event("Updated", topic="chantier.updated")
    def _describe(self, chantier_id: Id, nom: Line, adresse: Line) -> None:
        self.nom, self.adresse = nom, adresse

    def move(self, statut: Status) -> None:
        """Move it on; nothing when it is there already. Raises Invalid."""
        if statut == self.statut:
            return
        if statut not in FOLLOWING[self.statut]:
            raise refused(f"after {self.statut} there is no {statut}", "#/statut")
        self._move(self.chantier_id, self.statut, statut)

    @event("Moved", topic="chantier.statut_changed")
    def _move(
        self, chantier_id: Id, ancien_statut: Status, nouveau_statut: Status
    ) -> None:
        self.statut = nouveau_statut

    def delete(self) -> None:
        """Remove it. Raises Invalid where there is work."""
        if self.statut in AT_WORK:
            raise refused(f"it is {self.statut}: finish or close it first")
        self._delete(self.chantier_id)

    @event("Deleted", topic="chantier.deleted")
    def _delete(self, chantier_id: Id) -> None:
        self.is_deleted = True

    def check_open(self) -> None:
        """Raise Invalid when nobody works there any more."""
        if self.statut == "ferme":
            raise refused("the site is closed", "#/chantier_id")
