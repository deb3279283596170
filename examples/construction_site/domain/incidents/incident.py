"""An incident: something that is wrong on a site, until it is put right."""

from typing import Literal

from eventsourcing.domain import event

from domain.catalog import Meaning
from domain.model import Aggregate
from examples.construction_site.domain.words import Id, Line, Text, refused

Priority = Literal["basse", "moyenne", "haute", "critique"]
PRIORITIES: tuple[Priority, ...] = ("basse", "moyenne", "haute", "critique")

_KNOWN = {"signalement_id": "s-41", "chantier_id": "villa-lumiere"}
_TOLD = {
    "titre": "Échafaudage",
    "description": "It moves in the wind.",
    "priorite": "haute",
}
MEANINGS = {
    "signalement.created": Meaning(
        "An incident is reported", _KNOWN | _TOLD | {"signale_par": "karim-b"}
    ),
    "signalement.updated": Meaning("An incident is told otherwise", _KNOWN | _TOLD),
    "signalement.closed": Meaning(
        "An incident is over",
        _KNOWN | {"resolution": "It is anchored again.", "ferme_par": "chef-a"},
    ),
}


class Incident(Aggregate):
    """An incident; its stream is `signalements/<id>`."""

    TOPIC = "construction_site/signalement"

    @event("Created", topic="signalement.created")
    def __init__(
        self,
        id: str,
        signalement_id: Id,
        chantier_id: Id,
        titre: Line,
        description: Text,
        priorite: Priority,
        signale_par: Id,
    ) -> None:
        self.signalement_id, self.chantier_id = signalement_id, chantier_id
        self.titre, self.description = titre, description
        self.priorite: Priority = priorite
        self.signale_par = signale_par
        self.resolution: str | None = None
        self.ferme_par: str | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self.ferme_par is not None

    def tell(self, titre: str, description: str, priorite: Priority) -> None:
        """Tell it otherwise; nothing when nothing differs. Raises Invalid."""
        if (titre, description, priorite) == (
            self.titre,
            self.description,
            self.priorite,
        ):
            return
        if self.is_closed:
            raise refused("it is closed")
        self._tell(self.signalement_id, self.chantier_id, titre, description, priorite)

    @event("Updated", topic="signalement.updated")
    def _tell(
        self,
        signalement_id: Id,
        chantier_id: Id,
        titre: Line,
        description: Text,
        priorite: Priority,
    ) -> None:
        self.titre, self.description = titre, description
        self.priorite = priorite

    def close(self, resolution: str, by: str) -> None:
        """End it. By the same person again: nothing. Raises Invalid.

        A critical one takes two: who says that it is over is not who reported it.
        """
        if self.ferme_par == by:
            return
        if self.is_closed:
            raise refused(f"{self.ferme_par} has closed it already")
        if self.priorite == "critique" and by == self.signale_par:
            raise refused("another person than who reported it closes it", "#/par")
        self._close(self.signalement_id, self.chantier_id, resolution, by)

    @event("Closed", topic="signalement.closed")
    def _close(
        self, signalement_id: Id, chantier_id: Id, resolution: Text, ferme_par: Id
    ) -> None:
        self.resolution, self.ferme_par = resolution, ferme_par
