"""Timesheets over HTTP: book hours, put them right, judge them; a worker's weeks."""

from typing import Annotated

from litestar import get, post, put
from litestar.params import FromPath
from msgspec import Meta, Struct

from api import answers, consistency
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.shapes import FollowingQuery
from examples.construction_site.api.answering import (
    READ,
    WRITE,
    changed,
    drawn,
    identity,
    read,
)
from examples.construction_site.domain.timesheets import commands
from examples.construction_site.domain.timesheets.hours import Hours, Minutes, Status
from examples.construction_site.domain.words import Day, Id, Line
from examples.construction_site.projections import weekly_hours

PATH = "/api/v1/pointages"
ONE = f"{PATH}/{{heures_id:str}}"


class BookHours(Struct, kw_only=True, forbid_unknown_fields=True):
    """Hours that a worker was on a site. `par`: who books them."""

    ouvrier_id: Id
    chantier_id: Id
    date: Day
    minutes: Minutes
    par: Id
    heures_id: Annotated[
        Id | None, Meta(description="an id of your own; without it one is drawn")
    ] = None


class CorrectHours(Struct, forbid_unknown_fields=True):
    """How long it really was. `par`: who says so."""

    minutes: Minutes
    par: Id


class ValidateHours(Struct, forbid_unknown_fields=True):
    """Who validates: not who booked."""

    par: Id


class RejectHours(Struct, forbid_unknown_fields=True):
    """Who rejects, not who booked, and why."""

    par: Id
    motif: Line


class ShownHours(Struct):
    """Some hours of one day."""

    heures_id: Id
    ouvrier_id: Id
    chantier_id: Id
    date: Day
    minutes: int
    statut: Status
    saisi_par: Id
    juge_par: Id | None
    motif: str | None


class Week(Struct):
    """A week, by its Monday."""

    semaine: Day
    minutes_saisies: int
    minutes_validees: int


class Weeks(Struct):
    """A worker's last weeks, the newest first."""

    data: list[Week]


EXAMPLES = {
    "BookHours": {
        "ouvrier_id": "karim-b",
        "chantier_id": "villa-lumiere",
        "date": "2026-11-16",
        "minutes": 240,
        "par": "karim-b",
    },
    "CorrectHours": {"minutes": 225, "par": "karim-b"},
    "ValidateHours": {"par": "chef-a"},
    "RejectHours": {"par": "chef-a", "motif": "that was a holiday"},
}


@post(
    PATH,
    **operation("Book hours", scopes=WRITE, body=BookHours, answers={201: ShownHours}),
)
async def book_hours(request: ApiRequest) -> Answer:
    """Records `heures.created`."""
    sent = await request.read(BookHours)
    heures_id = drawn(request, sent.heures_id)
    return await changed(
        request,
        lambda desk: commands.book(
            desk,
            heures_id,
            sent.ouvrier_id,
            sent.chantier_id,
            sent.date,
            sent.minutes,
            sent.par,
        ),
        shown,
        status=201,
    )


@get(ONE, **operation("Read hours", scopes=READ, answers={200: ShownHours}))
async def get_hours(request: ApiRequest, heures_id: FromPath[str]) -> Answer:
    """As they are now."""
    found = await read(request, commands.load, identity(heures_id))
    return answers.json(shown(found))


@put(
    ONE,
    **operation(
        "Put hours right", scopes=WRITE, body=CorrectHours, answers={200: ShownHours}
    ),
)
async def correct_hours(request: ApiRequest, heures_id: FromPath[str]) -> Answer:
    """Records `heures.updated`; rejected ones are booked again, validated ones stay."""
    sent, named = await request.read(CorrectHours), identity(heures_id)
    return await changed(
        request,
        lambda desk: commands.correct(desk, named, sent.minutes, sent.par),
        shown,
    )


@post(
    f"{ONE}/validate",
    **operation(
        "Validate hours", scopes=WRITE, body=ValidateHours, answers={200: ShownHours}
    ),
)
async def validate_hours(request: ApiRequest, heures_id: FromPath[str]) -> Answer:
    """Records `heures.validated`, once: the payroll hears of it."""
    sent, named = await request.read(ValidateHours), identity(heures_id)
    return await changed(
        request, lambda desk: commands.validate(desk, named, sent.par), shown
    )


@post(
    f"{ONE}/reject",
    **operation(
        "Reject hours", scopes=WRITE, body=RejectHours, answers={200: ShownHours}
    ),
)
async def reject_hours(request: ApiRequest, heures_id: FromPath[str]) -> Answer:
    """Records `heures.rejected`."""
    sent, named = await request.read(RejectHours), identity(heures_id)
    return await changed(
        request,
        lambda desk: commands.reject(desk, named, sent.par, sent.motif),
        shown,
    )


@get(
    "/api/v1/ouvriers/{ouvrier_id:str}/semaines",
    **operation(
        "A worker's weeks", scopes=READ, query=FollowingQuery, answers={200: Weeks}
    ),
)
async def list_weeks(request: ApiRequest, ouvrier_id: FromPath[str]) -> Answer:
    """The last 104; with `at_least` they show what a write did."""
    named = identity(ouvrier_id)
    at_least = request.parameters(FollowingQuery).at_least
    await consistency.follow(request, "weekly_hours", at_least)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await weekly_hours.weeks(connection, tenant_id, named)
    data = [Week(monday.isoformat(), *minutes) for monday, *minutes in rows]
    return answers.json(Weeks(data))


def shown(hours: Hours) -> ShownHours:
    """Hours as they are shown."""
    return ShownHours(
        hours.heures_id,
        hours.ouvrier_id,
        hours.chantier_id,
        hours.date,
        hours.minutes,
        hours.statut,
        hours.saisi_par,
        hours.juge_par,
        hours.motif,
    )


HANDLERS = (
    book_hours,
    get_hours,
    correct_hours,
    validate_hours,
    reject_hours,
    list_weeks,
)
