"""What can be done to plans. An assignment's id begins with its worker's, and a dot."""

from domain.errors import NotFound
from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.planning.plan import Plan
from examples.construction_site.domain.sites import commands as sites


def assign(
    desk: Desk, affectation_id: str, chantier_id: str, debut: str, fin: str
) -> Plan:
    """Plan work of a worker. Raises Invalid, as when the days are not free."""
    sites.check_open(desk, chantier_id)
    found = desk.load_or_blank(Plan, _stream(affectation_id))
    found.assign(affectation_id, chantier_id, debut, fin)
    desk.record(found)
    return found


def change(
    desk: Desk, affectation_id: str, chantier_id: str, debut: str, fin: str
) -> Plan:
    """Plan it elsewhere or otherwise. Raises NotFound, Invalid."""
    found = load(desk, affectation_id)
    sites.check_open(desk, chantier_id)
    found.change(affectation_id, chantier_id, debut, fin)
    desk.record(found)
    return found


def delete(desk: Desk, affectation_id: str) -> None:
    """Take it back. Raises NotFound."""
    found = load(desk, affectation_id)
    found.delete(affectation_id)
    desk.record(found)


def load(desk: Desk, affectation_id: str) -> Plan:
    """The plan that has this assignment. Raises NotFound."""
    found = desk.load(Plan, _stream(affectation_id))
    found.find(affectation_id)
    return found


def _stream(affectation_id: str) -> str:
    ouvrier_id, dot, _ = affectation_id.partition(".")
    if not dot:
        raise NotFound
    return f"planning/{ouvrier_id}"
