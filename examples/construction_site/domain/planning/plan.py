"""A worker's plan: on which site on which days, never on two at once."""

from datetime import date
from typing import NamedTuple

from eventsourcing.domain import event

from domain.catalog import Meaning
from domain.errors import NotFound
from domain.model import Ongoing
from examples.construction_site.domain import words
from examples.construction_site.domain.words import Day, Id, refused

LONGEST_DAYS = 92

_KNOWN = {
    "affectation_id": "karim-b.1",
    "ouvrier_id": "karim-b",
    "chantier_id": "villa-lumiere",
    "debut": "2026-11-16",
    "fin": "2026-11-20",
}
MEANINGS = {
    "affectation.created": Meaning("A worker is to work on a site", _KNOWN),
    "affectation.updated": Meaning(
        "An assignment is to another site, or on other days",
        _KNOWN | {"ancien_chantier_id": "villa-lumiere"},
    ),
    "affectation.deleted": Meaning(
        "An assignment is taken back",
        {
            name: _KNOWN[name]
            for name in ("affectation_id", "ouvrier_id", "chantier_id")
        },
    ),
}


class Assignment(NamedTuple):
    """A worker on a site, from a day to a day, both included."""

    chantier_id: str
    debut: date
    fin: date

    def overlaps(self, other: "Assignment") -> bool:
        """Whether they share a day."""
        return self.debut <= other.fin and other.debut <= self.fin


class Plan(Ongoing):
    """The assignments of one worker; its stream is `planning/<worker>`.

    All of a worker's are in one aggregate, so two that come at once cannot both find the
    days free: the second meets a version conflict, and decides anew.
    """

    TOPIC = "construction_site/planning"

    def __init__(self) -> None:
        self.assignments: dict[str, Assignment] = {}

    @property
    def ouvrier_id(self) -> str:
        """Whose plan it is."""
        return self.stream.partition("/")[2]

    def assign(
        self, affectation_id: str, chantier_id: str, debut: str, fin: str
    ) -> None:
        """Plan work; nothing when just this is planned. Raises Invalid."""
        wanted = _checked(chantier_id, debut, fin)
        if self.assignments.get(affectation_id) != wanted:
            self._check_free(affectation_id, wanted)
            self._assign(affectation_id, self.ouvrier_id, chantier_id, debut, fin)

    @event("Assigned", topic="affectation.created")
    def _assign(
        self,
        affectation_id: str,
        ouvrier_id: Id,
        chantier_id: Id,
        debut: Day,
        fin: Day,
    ) -> None:
        self._set(affectation_id, chantier_id, debut, fin)

    def change(
        self, affectation_id: str, chantier_id: str, debut: str, fin: str
    ) -> None:
        """Plan it elsewhere or otherwise. Raises NotFound, Invalid."""
        before = self.find(affectation_id)
        wanted = _checked(chantier_id, debut, fin)
        if wanted != before:
            self._check_free(affectation_id, wanted)
            self._change(
                affectation_id,
                self.ouvrier_id,
                chantier_id,
                debut,
                fin,
                before.chantier_id,
            )

    @event("Changed", topic="affectation.updated")
    def _change(
        self,
        affectation_id: str,
        ouvrier_id: Id,
        chantier_id: Id,
        debut: Day,
        fin: Day,
        ancien_chantier_id: Id,
    ) -> None:
        self._set(affectation_id, chantier_id, debut, fin)

    def delete(self, affectation_id: str) -> None:
        """Take it back. Raises NotFound."""
        chantier_id = self.find(affectation_id).chantier_id
        self._delete(affectation_id, self.ouvrier_id, chantier_id)

    @event("Deleted", topic="affectation.deleted")
    def _delete(self, affectation_id: str, ouvrier_id: Id, chantier_id: Id) -> None:
        del self.assignments[affectation_id]

    def find(self, affectation_id: str) -> Assignment:
        """An assignment. Raises NotFound."""
        if affectation_id not in self.assignments:
            raise NotFound
        return self.assignments[affectation_id]

    def _set(self, affectation_id: str, chantier_id: str, debut: str, fin: str) -> None:
        days = date.fromisoformat(debut), date.fromisoformat(fin)
        self.assignments[affectation_id] = Assignment(chantier_id, *days)

    def _check_free(self, affectation_id: str, wanted: Assignment) -> None:
        for known, other in self.assignments.items():
            if known != affectation_id and other.overlaps(wanted):
                days = f"from {other.debut} to {other.fin}"
                raise refused(f"the worker is on {other.chantier_id} {days}", "#/debut")


def _checked(chantier_id: str, debut: str, fin: str) -> Assignment:
    first, last = words.day(debut, "#/debut"), words.day(fin, "#/fin")
    if not 0 <= (last - first).days < LONGEST_DAYS:
        raise refused(f"it is of 1 to {LONGEST_DAYS} days", "#/fin")
    return Assignment(chantier_id, first, last)
