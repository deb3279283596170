"""Given what happened, when something is asked for, then this happens, or is refused.

No log and no database: aggregates decide from their own past.
"""

from typing import Any
from uuid import UUID

import pytest

from domain import model
from domain.errors import Invalid, NotFound
from domain.model import AnyAggregate
from examples.construction_site.domain import catalog
from examples.construction_site.domain.documents.folder import Folder
from examples.construction_site.domain.incidents.incident import PRIORITIES, Incident
from examples.construction_site.domain.planning.plan import Plan
from examples.construction_site.domain.sites.site import FOLLOWING, Site
from examples.construction_site.domain.timesheets.hours import Hours

TENANT = UUID(int=1)


def at(stream: str) -> str:
    return model.originator_id(TENANT, stream)


def happened(aggregate: AnyAggregate) -> list[str]:
    """The topics of what it decided, in order."""
    return [event.TOPIC for event in aggregate.pending_events]  # type: ignore[attr-defined]


def a_site() -> Site:
    return Site(id=at("chantiers/v"), chantier_id="v", nom="Villa", adresse="Annecy")


def a_plan() -> Plan:
    return Plan.blank(at("planning/karim"))


def some_hours() -> Hours:
    return Hours(
        id=at("pointages/h"),
        heures_id="h",
        ouvrier_id="karim",
        chantier_id="v",
        date="2026-11-16",
        minutes=240,
        saisi_par="lea",
    )


def an_incident(priorite: Any = "haute") -> Incident:
    return Incident(
        id=at("signalements/s"),
        signalement_id="s",
        chantier_id="v",
        titre="Crane",
        description="It leans.",
        priorite=priorite,
        signale_par="karim",
    )


def test_there_are_sixteen_event_types() -> None:
    assert len(catalog.MEANINGS) == 16


# Sites.


def test_a_site_changes_when_something_differs() -> None:
    site = a_site()
    site.describe("Villa", "Annecy")
    site.describe("Villa Lumière", "Annecy")
    assert happened(site) == ["chantier.created", "chantier.updated"]


@pytest.mark.parametrize("before", FOLLOWING)
@pytest.mark.parametrize("after", FOLLOWING)
def test_a_site_moves_on_by_its_table(before: Any, after: Any) -> None:
    site = a_site()
    site.statut = before
    if after == before or after in FOLLOWING[before]:
        site.move(after)
        assert site.statut == after
        assert len(site.pending_events) == (1 if after == before else 2)
    else:
        with pytest.raises(Invalid):
            site.move(after)


def test_a_site_where_there_is_work_is_not_removed() -> None:
    site = a_site()
    site.move("en_cours")
    with pytest.raises(Invalid, match="finish or close it"):
        site.delete()


def test_nobody_works_on_a_closed_site() -> None:
    site = a_site()
    site.check_open()
    site.move("ferme")
    with pytest.raises(Invalid):
        site.check_open()


# Planning.


@pytest.mark.parametrize(
    ("debut", "fin", "is_free"),
    [
        ("2026-11-09", "2026-11-15", True),
        ("2026-11-09", "2026-11-16", False),
        ("2026-11-18", "2026-11-18", False),
        ("2026-11-01", "2026-11-30", False),
        ("2026-11-20", "2026-11-25", False),
        ("2026-11-21", "2026-11-21", True),
    ],
)
def test_a_worker_is_on_one_site_a_day(debut: str, fin: str, is_free: bool) -> None:
    # given
    plan = a_plan()
    plan.assign("karim.1", "v", "2026-11-16", "2026-11-20")
    # when
    if is_free:
        plan.assign("karim.2", "w", debut, fin)
        # then
        assert happened(plan) == ["affectation.created"] * 2
    else:
        with pytest.raises(Invalid, match="the worker is on v"):
            plan.assign("karim.2", "w", debut, fin)


def test_an_assignment_may_move_within_its_own_days() -> None:
    plan = a_plan()
    plan.assign("karim.1", "v", "2026-11-16", "2026-11-20")
    plan.change("karim.1", "w", "2026-11-17", "2026-11-21")
    plan.change("karim.1", "w", "2026-11-17", "2026-11-21")
    assert happened(plan) == ["affectation.created", "affectation.updated"]


def test_days_taken_back_are_free() -> None:
    plan = a_plan()
    plan.assign("karim.1", "v", "2026-11-16", "2026-11-20")
    plan.delete("karim.1")
    plan.assign("karim.2", "w", "2026-11-16", "2026-11-20")
    assert list(plan.assignments) == ["karim.2"]
    with pytest.raises(NotFound):
        plan.delete("karim.1")


@pytest.mark.parametrize(
    ("debut", "fin"),
    [
        ("2026-11-20", "2026-11-16"),
        ("2026-02-30", "2026-03-01"),
        ("2026-01-01", "2026-12-31"),
    ],
)
def test_days_must_be_days(debut: str, fin: str) -> None:
    with pytest.raises(Invalid):
        a_plan().assign("karim.1", "v", debut, fin)


def test_a_plan_is_the_same_again_from_its_events() -> None:
    plan = a_plan()
    plan.assign("karim.1", "v", "2026-11-16", "2026-11-20")
    plan.assign("karim.2", "w", "2026-11-23", "2026-11-27")
    plan.delete("karim.1")
    again: Any = None
    for event in plan.collect_events():
        again = event.mutate(again)
    assert (again.id, again.version) == (plan.id, 3)
    assert again.assignments == plan.assignments


# Timesheets.


def test_hours_are_validated_by_another_person() -> None:
    hours = some_hours()
    hours.validate("chef")
    assert happened(hours) == ["heures.created", "heures.validated"]


@pytest.mark.parametrize("by", ["karim", "lea"])
def test_nobody_judges_what_they_booked_or_did(by: str) -> None:
    for judge in (
        lambda: some_hours().validate(by),
        lambda: some_hours().reject(by, "?"),
    ):
        with pytest.raises(Invalid, match="another person"):
            judge()


def test_hours_are_validated_once() -> None:
    hours = some_hours()
    hours.validate("chef")
    hours.validate("chef")
    with pytest.raises(Invalid, match="chef has judged them"):
        hours.validate("boss")
    with pytest.raises(Invalid):
        hours.correct(60, "karim")
    assert happened(hours) == ["heures.created", "heures.validated"]


def test_rejected_hours_are_put_right_and_count_again() -> None:
    hours = some_hours()
    hours.reject("chef", "a holiday")
    hours.correct(240, "karim")
    hours.correct(200, "karim")
    hours.correct(200, "karim")
    corrected = [
        (event.anciennes_minutes, event.minutes)  # type: ignore[attr-defined]
        for event in hours.pending_events[2:]
    ]
    assert corrected == [(0, 240), (240, 200)]
    assert hours.statut == "saisi"


# Incidents.


@pytest.mark.parametrize("priorite", PRIORITIES)
def test_a_critical_incident_is_not_closed_by_who_reported_it(priorite: str) -> None:
    incident = an_incident(priorite)
    if priorite == "critique":
        with pytest.raises(Invalid, match="another person"):
            incident.close("Upright.", "karim")
        incident.close("Upright.", "chef")
    else:
        incident.close("Upright.", "karim")
    assert happened(incident) == ["signalement.created", "signalement.closed"]


def test_an_incident_is_closed_once() -> None:
    incident = an_incident()
    incident.close("Upright.", "chef")
    incident.close("Upright.", "chef")
    incident.tell("Crane", "It leans.", "haute")
    with pytest.raises(Invalid, match="chef has closed it"):
        incident.close("Again.", "boss")
    with pytest.raises(Invalid, match="it is closed"):
        incident.tell("Crane", "It leans.", "basse")
    assert len(incident.pending_events) == 2


# Documents.


def test_a_name_has_versions() -> None:
    folder = Folder.blank(at("dossiers/v"))
    first = folder.upload("d1", "plan.pdf", 9, "a" * 64, "chef")
    same = folder.upload("d2", "plan.pdf", 9, "a" * 64, "chef")
    second = folder.upload("d3", "plan.pdf", 10, "b" * 64, "chef")
    other = folder.upload("d4", "other.pdf", 9, "a" * 64, "chef")
    assert same is first
    assert [one.version for one in (first, second, other)] == [1, 2, 1]
    assert happened(folder) == ["document.uploaded"] * 3


def test_a_removed_version_leaves_its_number() -> None:
    folder = Folder.blank(at("dossiers/v"))
    folder.upload("d1", "plan.pdf", 9, "a" * 64, "chef")
    folder.delete("d1")
    again = folder.upload("d2", "plan.pdf", 9, "a" * 64, "chef")
    assert again.version == 2
    assert [one.document_id for one in folder.present()] == ["d2"]
    for absent in ("d1", "none"):
        with pytest.raises(NotFound):
            folder.delete(absent)
