"""Planning over HTTP: assign workers to sites, change that, take it back."""

import re
from typing import Annotated

from litestar import delete, get, post, put
from litestar.params import FromPath
from msgspec import Meta, Struct

from api import answers
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from domain.errors import NotFound
from examples.construction_site.api.answering import READ, WRITE, changed, read, removed
from examples.construction_site.domain import words
from examples.construction_site.domain.planning import commands
from examples.construction_site.domain.planning.plan import Plan
from examples.construction_site.domain.words import Day, Id

PATH = "/api/v1/planning/affectations"
ONE = f"{PATH}/{{affectation_id:str}}"
# The worker, a dot, and what tells their assignments apart.
_ID = rf"{words.ID}\.{words.ID}"
AssignmentId = Annotated[str, Meta(pattern=f"^{_ID}$")]


class CreateAssignment(Struct, forbid_unknown_fields=True):
    """Who is to work where, from a day to a day, both included."""

    ouvrier_id: Id
    chantier_id: Id
    debut: Day
    fin: Day


class UpdateAssignment(Struct, forbid_unknown_fields=True):
    """The same for a worker who is known."""

    chantier_id: Id
    debut: Day
    fin: Day


class ShownAssignment(Struct):
    """An assignment."""

    affectation_id: AssignmentId
    ouvrier_id: Id
    chantier_id: Id
    debut: Day
    fin: Day


_DAYS = {
    "chantier_id": "villa-lumiere",
    "debut": "2026-11-16",
    "fin": "2026-11-20",
}
EXAMPLES = {
    "CreateAssignment": {"ouvrier_id": "karim-b", **_DAYS},
    "UpdateAssignment": _DAYS,
}


@post(
    PATH,
    **operation(
        "Assign a worker",
        scopes=WRITE,
        body=CreateAssignment,
        answers={201: ShownAssignment},
    ),
)
async def create_assignment(request: ApiRequest) -> Answer:
    """Records `affectation.created`; nobody is on two sites on one day."""
    sent = await request.read(CreateAssignment)
    named = f"{sent.ouvrier_id}.{request.new_id()}"
    return await changed(
        request,
        lambda desk: commands.assign(
            desk, named, sent.chantier_id, sent.debut, sent.fin
        ),
        lambda plan: shown(plan, named),
        status=201,
    )


@get(
    ONE, **operation("Read an assignment", scopes=READ, answers={200: ShownAssignment})
)
async def get_assignment(request: ApiRequest, affectation_id: FromPath[str]) -> Answer:
    """As it is now."""
    named = identity(affectation_id)
    plan = await read(request, commands.load, named)
    return answers.json(shown(plan, named))


@put(
    ONE,
    **operation(
        "Change an assignment",
        scopes=WRITE,
        body=UpdateAssignment,
        answers={200: ShownAssignment},
    ),
)
async def update_assignment(
    request: ApiRequest, affectation_id: FromPath[str]
) -> Answer:
    """Records `affectation.updated`, when anything differs."""
    sent, named = await request.read(UpdateAssignment), identity(affectation_id)
    return await changed(
        request,
        lambda desk: commands.change(
            desk, named, sent.chantier_id, sent.debut, sent.fin
        ),
        lambda plan: shown(plan, named),
    )


@delete(ONE, **operation("Take an assignment back", scopes=WRITE, answers={204: None}))
async def delete_assignment(
    request: ApiRequest, affectation_id: FromPath[str]
) -> Answer:
    """Records `affectation.deleted`."""
    named = identity(affectation_id)
    return await removed(request, lambda desk: commands.delete(desk, named))


def identity(text: str) -> str:
    """An assignment's id in a path. Raises NotFound."""
    if not re.fullmatch(_ID, text):
        raise NotFound
    return text


def shown(plan: Plan, affectation_id: str) -> ShownAssignment:
    """An assignment of a plan as it is shown."""
    one = plan.find(affectation_id)
    return ShownAssignment(
        affectation_id,
        plan.ouvrier_id,
        one.chantier_id,
        one.debut.isoformat(),
        one.fin.isoformat(),
    )


HANDLERS = (create_assignment, get_assignment, update_assignment, delete_assignment)
