"""Incidents over HTTP: report, tell otherwise, close."""

from litestar import get, post, put
from litestar.params import FromPath
from msgspec import Struct

from api import answers
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from examples.construction_site.api.answering import (
    READ,
    WRITE,
    changed,
    identity,
    read,
)
from examples.construction_site.domain.incidents import commands
from examples.construction_site.domain.incidents.incident import Incident, Priority
from examples.construction_site.domain.words import Id, Line, Text

PATH = "/api/v1/signalements"
ONE = f"{PATH}/{{signalement_id:str}}"


class ReportIncident(Struct, forbid_unknown_fields=True):
    """What is wrong on a site. `par`: who says so."""

    chantier_id: Id
    titre: Line
    description: Text
    priorite: Priority
    par: Id


class TellIncident(Struct, forbid_unknown_fields=True):
    """What is wrong, told otherwise."""

    titre: Line
    description: Text
    priorite: Priority


class CloseIncident(Struct, forbid_unknown_fields=True):
    """How it was put right, and who says so."""

    resolution: Text
    par: Id


class ShownIncident(Struct):
    """An incident."""

    signalement_id: Id
    chantier_id: Id
    titre: str
    description: str
    priorite: Priority
    signale_par: Id
    resolution: str | None
    ferme_par: Id | None


_TOLD = {
    "titre": "Échafaudage",
    "description": "It moves in the wind.",
    "priorite": "haute",
}
EXAMPLES = {
    "ReportIncident": {"chantier_id": "villa-lumiere", **_TOLD, "par": "karim-b"},
    "TellIncident": _TOLD | {"priorite": "critique"},
    "CloseIncident": {"resolution": "It is anchored again.", "par": "chef-a"},
}


@post(
    PATH,
    **operation(
        "Report an incident",
        scopes=WRITE,
        body=ReportIncident,
        answers={201: ShownIncident},
    ),
)
async def report_incident(request: ApiRequest) -> Answer:
    """Records `signalement.created`."""
    sent, named = await request.read(ReportIncident), str(request.new_id())
    return await changed(
        request,
        lambda desk: commands.report(
            desk,
            named,
            sent.chantier_id,
            sent.titre,
            sent.description,
            sent.priorite,
            sent.par,
        ),
        shown,
        status=201,
    )


@get(ONE, **operation("Read an incident", scopes=READ, answers={200: ShownIncident}))
async def get_incident(request: ApiRequest, signalement_id: FromPath[str]) -> Answer:
    """As it is now."""
    found = await read(request, commands.load, identity(signalement_id))
    return answers.json(shown(found))


@put(
    ONE,
    **operation(
        "Tell an incident otherwise",
        scopes=WRITE,
        body=TellIncident,
        answers={200: ShownIncident},
    ),
)
async def tell_incident(request: ApiRequest, signalement_id: FromPath[str]) -> Answer:
    """Records `signalement.updated`, when anything differs."""
    sent, named = await request.read(TellIncident), identity(signalement_id)
    return await changed(
        request,
        lambda desk: commands.tell(
            desk, named, sent.titre, sent.description, sent.priorite
        ),
        shown,
    )


@post(
    f"{ONE}/cloturer",
    **operation(
        "Close an incident",
        scopes=WRITE,
        body=CloseIncident,
        answers={200: ShownIncident},
    ),
)
async def close_incident(request: ApiRequest, signalement_id: FromPath[str]) -> Answer:
    """Records `signalement.closed`; a critical one is not closed by who reported it."""
    sent, named = await request.read(CloseIncident), identity(signalement_id)
    return await changed(
        request,
        lambda desk: commands.close(desk, named, sent.resolution, sent.par),
        shown,
    )


def shown(incident: Incident) -> ShownIncident:
    """An incident as it is shown."""
    return ShownIncident(
        incident.signalement_id,
        incident.chantier_id,
        incident.titre,
        incident.description,
        incident.priorite,
        incident.signale_par,
        incident.resolution,
        incident.ferme_par,
    )


HANDLERS = (report_incident, get_incident, tell_incident, close_incident)
