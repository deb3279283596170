"""Hours that a worker was on a site: booked by one person, validated by another, once."""

from typing import Annotated, Literal

from eventsourcing.domain import event
from msgspec import Meta

from domain.catalog import Meaning
from domain.model import Aggregate
from examples.construction_site.domain.words import Day, Id, Line, refused

Minutes = Annotated[int, Meta(ge=1, le=1440)]
Counted = Annotated[int, Meta(ge=0, le=1440)]
Status = Literal["saisi", "valide", "refuse"]

_KNOWN = {
    "heures_id": "h-77",
    "ouvrier_id": "karim-b",
    "chantier_id": "villa-lumiere",
    "date": "2026-11-16",
    "minutes": 240,
}
MEANINGS = {
    "heures.created": Meaning("Hours are booked", _KNOWN | {"saisi_par": "karim-b"}),
    "heures.updated": Meaning(
        "Booked hours are put right; `anciennes_minutes` counted until then",
        _KNOWN | {"anciennes_minutes": 180, "saisi_par": "karim-b"},
    ),
    "heures.validated": Meaning(
        "Hours are validated: they are to be paid", _KNOWN | {"valide_par": "chef-a"}
    ),
    "heures.rejected": Meaning(
        "Hours are rejected: they do not count until they are put right",
        _KNOWN | {"refuse_par": "chef-a", "motif": "that was a holiday"},
    ),
}


class Hours(Aggregate):
    """Some hours of one day; its stream is `pointages/<id>`.

    Its events carry all that it is about: who receives one need not ask for the others.
    """

    TOPIC = "construction_site/pointage"

    @event("Created", topic="heures.created")
    def __init__(
        self,
        id: str,
        heures_id: Id,
        ouvrier_id: Id,
        chantier_id: Id,
        date: Day,
        minutes: Minutes,
        saisi_par: Id,
    ) -> None:
        self.heures_id, self.ouvrier_id = heures_id, ouvrier_id
        self.chantier_id, self.date = chantier_id, date
        self.minutes, self.saisi_par = minutes, saisi_par
        self.statut: Status = "saisi"
        self.juge_par: str | None = None
        self.motif: str | None = None

    def correct(self, minutes: int, by: str) -> None:
        """Put them right; rejected ones are booked again. Raises Invalid."""
        if self.statut == "valide":
            raise refused("they are validated, and do not change any more")
        counted = self.minutes if self.statut == "saisi" else 0
        if minutes != counted:
            self._correct(*self._known(), minutes, counted, by)

    @event("Corrected", topic="heures.updated")
    def _correct(
        self,
        heures_id: Id,
        ouvrier_id: Id,
        chantier_id: Id,
        date: Day,
        minutes: Minutes,
        anciennes_minutes: Counted,
        saisi_par: Id,
    ) -> None:
        self.minutes, self.saisi_par = minutes, saisi_par
        self.statut, self.juge_par, self.motif = "saisi", None, None

    def validate(self, by: str) -> None:
        """Let them be paid. By the same person again: nothing. Raises Invalid."""
        if (self.statut, self.juge_par) == ("valide", by):
            return
        self._check_judge(by)
        self._validate(*self._known(), self.minutes, by)

    @event("Validated", topic="heures.validated")
    def _validate(
        self,
        heures_id: Id,
        ouvrier_id: Id,
        chantier_id: Id,
        date: Day,
        minutes: Minutes,
        valide_par: Id,
    ) -> None:
        self.statut, self.juge_par = "valide", valide_par

    def reject(self, by: str, motif: str) -> None:
        """Let them not count. By the same person again: nothing. Raises Invalid."""
        if (self.statut, self.juge_par) == ("refuse", by):
            return
        self._check_judge(by)
        self._reject(*self._known(), self.minutes, by, motif)

    @event("Rejected", topic="heures.rejected")
    def _reject(
        self,
        heures_id: Id,
        ouvrier_id: Id,
        chantier_id: Id,
        date: Day,
        minutes: Minutes,
        refuse_par: Id,
        motif: Line,
    ) -> None:
        self.statut, self.juge_par, self.motif = "refuse", refuse_par, motif

    def _known(self) -> tuple[str, str, str, str]:
        return self.heures_id, self.ouvrier_id, self.chantier_id, self.date

    def _check_judge(self, by: str) -> None:
        if self.statut != "saisi":
            raise refused(f"{self.juge_par} has judged them already: {self.statut}")
        if by in (self.saisi_par, self.ouvrier_id):
            raise refused("another person than who booked them judges hours", "#/par")
