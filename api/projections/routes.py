"""Projections: list them, pause and resume, rebuild, decide on their errors."""

from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath

from api import answers
from api.answers import Answer
from api.operation import OPERATOR, operation
from api.pagination import PageQuery, Paging
from api.projections import shown
from api.projections.schemas import (
    Projection,
    ProjectionError,
    ProjectionErrorPage,
    ProjectionPage,
    Rebuild,
    StartRebuild,
)
from api.request import ApiRequest
from api.shapes import Nothing
from domain import ids
from domain.errors import NotFound
from projections import control
from projections.postgres import Connection

PATH = "/api/v1/projections"
ONE = f"{PATH}/{{name:str}}"
ERROR = f"{ONE}/errors/{{error_id:str}}"
SCOPES = [OPERATOR]
_NOBODY = UUID(int=0)
_DIGITS = 18  # of an error's id: more are an absent one


@get(
    PATH,
    **operation(
        "List projections",
        scopes=SCOPES,
        query=PageQuery,
        answers={200: ProjectionPage},
    ),
)
async def list_projections(request: ApiRequest) -> Answer:
    """Where each is and what keeps it, by name."""
    paging = request.paging(request.parameters(PageQuery))
    async with request.services.operator.connection() as connection:
        every = await control.projections(connection)
    rows = [shown.projection(*each) for each in every]
    found = paging.page(_beyond(rows, paging), lambda row: [row.name])
    return answers.json(ProjectionPage(found.rows, found.next, found.prev))


@post(
    f"{ONE}/pause",
    **operation(
        "Pause a projection", scopes=SCOPES, body=Nothing, answers={200: Projection}
    ),
)
async def pause_projection(request: ApiRequest, name: FromPath[str]) -> Answer:
    """When this is answered, no batch of it runs. Repeatable."""
    await request.read_if_any(Nothing)
    async with request.services.operator.connection() as connection:
        await control.pause(connection, name, request.caller.actor)
        return await _one(connection, name)


@post(
    f"{ONE}/resume",
    **operation(
        "Resume a projection", scopes=SCOPES, body=Nothing, answers={200: Projection}
    ),
)
async def resume_projection(request: ApiRequest, name: FromPath[str]) -> Answer:
    """It goes on where it was. Repeatable."""
    await request.read_if_any(Nothing)
    async with request.services.operator.connection() as connection:
        await control.resume(connection, name)
        return await _one(connection, name)


@post(
    f"{ONE}/rebuild",
    **operation(
        "Rebuild a projection",
        scopes=SCOPES,
        body=StartRebuild,
        answers={202: Rebuild},
    ),
)
async def start_rebuild(request: ApiRequest, name: FromPath[str]) -> Answer:
    """Beside the live rows, which answer until the new ones take their place.

    `deliveries` is a record of what was done, and cannot be rebuilt. With `accept` and a
    rebuild that waits to be accepted, this accepts it.
    """
    sent = await request.read_if_any(StartRebuild)
    async with request.services.operator.connection() as connection:
        if sent.accept and sent.tenant_id is None:
            try:
                waiting = await control.accept_rebuild(connection, name)
            except NotFound:
                pass  # none waits: begin one that needs no asking
            else:
                return answers.json(shown.rebuild(waiting), status=202)
        started = await control.start_rebuild(
            connection,
            name,
            request.caller.actor,
            tenant_id=_tenant(sent.tenant_id),
            accept=sent.accept,
            among=request.services.contexts.read_models,
        )
    return answers.json(shown.rebuild(started), status=202)


@get(
    f"{ONE}/rebuild",
    **operation("Watch a rebuild", scopes=SCOPES, answers={200: Rebuild}),
)
async def get_rebuild(request: ApiRequest, name: FromPath[str]) -> Answer:
    """The last one of this projection, with its progress."""
    async with request.services.operator.connection() as connection:
        return answers.json(shown.rebuild(await control.rebuild(connection, name)))


@delete(
    f"{ONE}/rebuild",
    **operation("Cancel a rebuild", scopes=SCOPES, answers={200: Rebuild}),
)
async def cancel_rebuild(request: ApiRequest, name: FromPath[str]) -> Answer:
    """The live rows stay. `state` tells when it had finished before."""
    async with request.services.operator.connection() as connection:
        cancelled = await control.cancel_rebuild(connection, name)
    return answers.json(shown.rebuild(cancelled))


@get(
    f"{ONE}/errors",
    **operation(
        "List a projection's errors",
        scopes=SCOPES,
        query=PageQuery,
        answers={200: ProjectionErrorPage},
    ),
)
async def list_projection_errors(request: ApiRequest, name: FromPath[str]) -> Answer:
    """The events it could not apply, in the order of the log."""
    paging = request.paging(request.parameters(PageQuery))
    async with request.services.operator.connection() as connection:
        rows = await control.errors(
            connection,
            name,
            int(paging.key[0]) if paging.key else None,
            limit=paging.fetch,
            backwards=paging.backwards,
        )
    found = paging.page(rows, lambda row: [row.log_position])
    data = [shown.error(row) for row in found.rows]
    return answers.json(ProjectionErrorPage(data, found.next, found.prev))


@post(
    f"{ERROR}/retry",
    **operation(
        "Try an event again",
        scopes=SCOPES,
        body=Nothing,
        answers={200: ProjectionError},
    ),
)
async def retry_projection_error(
    request: ApiRequest, name: FromPath[str], error_id: FromPath[str]
) -> Answer:
    """With what waits behind it. It leaves the list when it is applied."""
    await request.read_if_any(Nothing)
    async with request.services.operator.connection() as connection:
        found = await control.retry(connection, name, _number(error_id))
    return answers.json(shown.error(found))


@post(
    f"{ERROR}/skip",
    **operation(
        "Skip an event", scopes=SCOPES, body=Nothing, answers={200: ProjectionError}
    ),
)
async def skip_projection_error(
    request: ApiRequest, name: FromPath[str], error_id: FromPath[str]
) -> Answer:
    """For good: the projection is never given it. What waited behind it goes on."""
    await request.read_if_any(Nothing)
    async with request.services.operator.connection() as connection:
        found = await control.skip(
            connection, name, _number(error_id), request.caller.actor
        )
    return answers.json(shown.error(found))


async def _one(connection: Connection, name: str) -> Answer:
    found = await control.projections(connection)
    [shown_one] = [shown.projection(*each) for each in found if each[0].name == name]
    return answers.json(shown_one)


def _beyond(rows: list[Projection], paging: Paging) -> list[Projection]:
    """What comes after the cursor, or before it, nearest first; there are only few."""
    key = str(paging.key[0]) if paging.key else ""
    if paging.backwards:
        return [row for row in reversed(rows) if row.name < key][: paging.fetch]
    return [row for row in rows if row.name > key][: paging.fetch]


def _number(error_id: str) -> int:
    """What an error's id names; a malformed one is an absent one. Raises NotFound."""
    if not error_id.isascii() or not error_id.isdigit() or len(error_id) > _DIGITS:
        raise NotFound
    return int(error_id)


def _tenant(text: str | None) -> UUID | None:
    try:
        return None if text is None else ids.decode("ten", text)
    except ids.MalformedId:  # an absent one
        return _NOBODY


HANDLERS = (
    list_projections,
    pause_projection,
    resume_projection,
    start_rebuild,
    get_rebuild,
    cancel_rebuild,
    list_projection_errors,
    retry_projection_error,
    skip_projection_error,
)
