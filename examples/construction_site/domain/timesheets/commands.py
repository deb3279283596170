"""What can be done to hours."""

from examples.construction_site.domain import words
from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.sites import commands as sites
from examples.construction_site.domain.timesheets.hours import Hours


def book(
    desk: Desk,
    heures_id: str,
    ouvrier_id: str,
    chantier_id: str,
    date: str,
    minutes: int,
    by: str,
) -> Hours:
    """Book hours of a worker on a site that is open. Raises Invalid."""
    words.day(date, "#/date")
    sites.check_open(desk, chantier_id)
    made = Hours(
        id=desk.named(f"pointages/{heures_id}"),
        heures_id=heures_id,
        ouvrier_id=ouvrier_id,
        chantier_id=chantier_id,
        date=date,
        minutes=minutes,
        saisi_par=by,
    )
    desk.record(made)
    return made


def correct(desk: Desk, heures_id: str, minutes: int, by: str) -> Hours:
    """Put them right. Raises NotFound, Invalid."""
    found = load(desk, heures_id)
    found.correct(minutes, by)
    desk.record(found)
    return found


def validate(desk: Desk, heures_id: str, by: str) -> Hours:
    """Let them be paid. Raises NotFound, Invalid."""
    found = load(desk, heures_id)
    found.validate(by)
    desk.record(found)
    return found


def reject(desk: Desk, heures_id: str, by: str, motif: str) -> Hours:
    """Let them not count. Raises NotFound, Invalid."""
    found = load(desk, heures_id)
    found.reject(by, motif)
    desk.record(found)
    return found


def load(desk: Desk, heures_id: str) -> Hours:
    """The hours as they are now. Raises NotFound."""
    return desk.load(Hours, f"pointages/{heures_id}")
