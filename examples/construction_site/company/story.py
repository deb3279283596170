"""Eight weeks of the company, day by day, by the commands that anybody's requests run.

What varies is drawn from a generator with a seed: the same one tells the same story, with
the same ids.
"""

import hashlib
import random
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta

from domain import clock
from examples.construction_site.company.people import (
    DOCUMENTS,
    INCIDENTS,
    RESOLUTIONS,
    SITES,
    WORKERS,
    Place,
)
from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.documents import commands as documents
from examples.construction_site.domain.incidents import commands as incidents
from examples.construction_site.domain.incidents.incident import PRIORITIES
from examples.construction_site.domain.planning import commands as planning
from examples.construction_site.domain.sites import commands as sites
from examples.construction_site.domain.timesheets import commands as timesheets

FIRST_MONDAY, WEEKS = date(2026, 9, 21), 8
DAYS = 6  # of a week: they work on Saturdays
BLOCKS = (0, 2, 4)  # the days on which an assignment begins; it has two
AWAY = 0.06  # of the worker-days
CORRECTED, REJECTED = 0.12, 0.02  # of the bookings
SERIOUS = (40, 35, 20, 5)  # how often each priority, in a hundred
# What is told last: a story that was told to its end has it.
LAST_FOLDER = "bilan"


class Story:
    """Tells it at a desk."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self._desk = desk
        self._random = random.Random(seed)
        self._numbers: dict[str, int] = {}
        self._open: list[tuple[str, Place]] = []  # incidents

    def tell(self) -> None:
        """All of it."""
        with _at(FIRST_MONDAY, 7):
            for place in SITES:
                sites.create(self._desk, place.chantier_id, place.nom, place.adresse)
                sites.move(self._desk, place.chantier_id, "en_cours")
        for week in range(WEEKS):
            self._tell_week(FIRST_MONDAY + timedelta(weeks=week))
        with _at(FIRST_MONDAY + timedelta(weeks=WEEKS), 8):
            sites.move(self._desk, SITES[0].chantier_id, "receptionne")
            self._upload(LAST_FOLDER, "bilan.pdf", SITES[0].chef)

    def _tell_week(self, monday: date) -> None:
        with _at(monday, 8):
            self._plan(monday)
        for number in range(DAYS):
            day = monday + timedelta(days=number)
            self._work(day, number // 2)
            with _at(day, 18):
                self._happen()
        with _at(day, 19):
            self._file(monday)

    def _plan(self, monday: date) -> None:
        """Who is where, two days at a time; some plans change, some are taken back."""
        for number, worker in enumerate(WORKERS):
            for block in BLOCKS:
                place = _place(number, block // 2, monday.isocalendar().week)
                first = monday + timedelta(days=block)
                days = first.isoformat(), (first + timedelta(days=1)).isoformat()
                named = f"{worker}.{self._next(worker)}"
                planning.assign(self._desk, named, place.chantier_id, *days)
                drawn = self._random.random()
                if drawn < 0.05:
                    other = self._random.choice(SITES).chantier_id
                    planning.change(self._desk, named, other, *days)
                elif drawn < 0.08:
                    planning.delete(self._desk, named)

    def _work(self, day: date, block: int) -> None:
        """Mornings and afternoons of all who came."""
        for number, worker in enumerate(WORKERS):
            if self._random.random() >= AWAY:
                place = _place(number, block, day.isocalendar().week)
                for half in (240, 210):
                    minutes = half + 15 * self._random.randrange(-2, 3)
                    self._book(worker, place, day, minutes)

    def _book(self, worker: str, place: Place, day: date, minutes: int) -> None:
        """Hours, from their booking to their validation."""
        named = f"h-{self._next('h'):05}"
        with _at(day, 16):
            timesheets.book(
                self._desk,
                named,
                worker,
                place.chantier_id,
                day.isoformat(),
                minutes,
                worker,
            )
        drawn = self._random.random()
        with _at(day, 17):
            if drawn < REJECTED:
                timesheets.reject(self._desk, named, place.chef, "not there that day")
            if drawn < CORRECTED:
                timesheets.correct(self._desk, named, minutes - 15, worker)
            timesheets.validate(self._desk, named, place.chef)

    def _happen(self) -> None:
        """Incidents: some are reported, some grow worse, most are closed within days."""
        for place in SITES:
            for _ in range(self._random.randrange(6)):
                self._report(place)
        for incident, place in self._open[:]:
            drawn = self._random.random()
            if drawn < 0.1:
                told = incidents.load(self._desk, incident)
                incidents.tell(
                    self._desk, incident, told.titre, told.description, "haute"
                )
            elif drawn < 0.6:
                how = self._random.choice(RESOLUTIONS)
                incidents.close(self._desk, incident, how, place.chef)
                self._open.remove((incident, place))

    def _report(self, place: Place) -> None:
        named = f"s-{self._next('s'):04}"
        title, description = self._random.choice(INCIDENTS)
        [priority] = self._random.choices(PRIORITIES, SERIOUS)
        by = self._random.choice(WORKERS)
        incidents.report(
            self._desk, named, place.chantier_id, title, description, priority, by
        )
        self._open.append((named, place))

    def _file(self, monday: date) -> None:
        """The papers of a week; of a plan the next version."""
        for place in SITES:
            for nom in DOCUMENTS:
                self._upload(place.chantier_id, nom, place.chef)
            report = f"journal-{monday.isoformat()}.pdf"
            draft = self._upload(place.chantier_id, report, place.chef)
            documents.delete(self._desk, place.chantier_id, draft)
            self._upload(place.chantier_id, report, place.chef)

    def _upload(self, folder: str, nom: str, by: str) -> str:
        """A document of its own bytes; its id."""
        named = f"d-{self._next('d'):04}"
        digest = hashlib.sha256(named.encode()).hexdigest()
        size = self._random.randrange(20_000, 4_000_000)
        documents.upload(self._desk, folder, named, nom, size, digest, by)
        return named

    def _next(self, kind: str) -> int:
        """1, 2, 3 ... of each kind."""
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return self._numbers[kind]


def _at(day: date, hour: int) -> AbstractContextManager[None]:
    """What is told within happened then."""
    return clock.at(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def _place(number: int, block: int, week: int) -> Place:
    """Crews stay on a site for a week; some of their people help on another."""
    helps = number % 7 == 0 and block == 1
    return SITES[(number + week // 3 + helps) % len(SITES)]
