"""Event types: what a tenant declared, what its log holds, what commands record."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from litestar import get, put
from litestar.params import FromPath

from api import answers, reading
from api.answers import Answer
from api.operation import operation
from api.pagination import PageQuery, Paging
from api.request import ApiRequest
from api.system_types import Types
from api.webhooks import declaring, shown
from api.webhooks.type_schemas import (
    DeclareEventType,
    DeclareQuery,
    DryRun,
    EventType,
    EventTypePage,
)
from domain import grammar
from domain.errors import Fault, Invalid, NotFound
from domain.webhooks.event_type import Declaration
from projections.log import ranges
from projections.log import views as log_views
from projections.postgres import Connection
from projections.webhooks import views

PATH = "/api/v1/webhook-events"
ONE = f"{PATH}/{{event_type:str}}"
# Who may see events may see their types, and who makes webhooks must know what there is.
READ = ["webhooks:read", "events:read"]
_ALL = 2**31 - 1


@get(
    PATH,
    **operation(
        "List event types", scopes=READ, query=PageQuery, answers={200: EventTypePage}
    ),
)
async def list_event_types(request: ApiRequest) -> Answer:
    """By name: declared ones, those seen in the log, and those that commands record."""
    paging = request.paging(request.parameters(PageQuery))
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await views.event_types(connection, tenant_id)
        declared = {row.type: row for row in rows}
        others = declared.keys() | request.services.types.keys()
        names = await _names(connection, tenant_id, paging, others)
    found = paging.page(names, lambda name: [name])
    types = request.services.types
    data = [shown.event_type(name, declared.get(name), types) for name in found.rows]
    return answers.json(EventTypePage(data, found.next, found.prev))


@get(ONE, **operation("Read an event type", scopes=READ, answers={200: EventType}))
async def get_event_type(request: ApiRequest, event_type: FromPath[str]) -> Answer:
    """One that is declared, or seen in the log, or recorded by commands."""
    if grammar.check_type(event_type):
        raise NotFound
    tenant_id, types = request.caller.tenant_id, request.services.types
    async with request.services.database.tenant(tenant_id) as connection:
        declared = await views.event_type(connection, tenant_id, event_type)
        if declared is None and event_type not in types:
            within = ranges.of_types([event_type])
            if not await log_views.types_within(connection, tenant_id, within, 1):
                raise NotFound
    return answers.json(shown.event_type(event_type, declared, types))


@put(
    ONE,
    **operation(
        "Declare an event type",
        scopes=["types:write"],
        body=DeclareEventType,
        query=DeclareQuery,
        answers={200: (EventType, DryRun)},
    ),
)
async def declare_event_type(request: ApiRequest, event_type: FromPath[str]) -> Answer:
    """Replaces all that was declared; what is left out goes back to its default.

    With `dry_run` nothing is declared: the answer tells which recorded events would break
    the schema. It reads them, so it takes `events:read` too.
    """
    raw, query = await request.checked(), request.parameters(DeclareQuery)
    _check(event_type, request.services.types)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        before = await views.event_type(connection, tenant_id, event_type)
    declaration = _read(raw, shown.event_type(event_type, before, {}))
    checker = declaring.check(declaration)
    if query.dry_run:
        return answers.json(
            await declaring.dry_run(request, event_type, checker, query.after or 0)
        )
    if query.after is not None:
        detail = "it is for `dry_run`"
        raise Invalid([Fault("after", "invalid", detail, parameter=True)])
    position = await declaring.declare(request, event_type, declaration)
    async with request.services.database.tenant(tenant_id) as connection:
        after = await views.event_type(connection, tenant_id, event_type)
    return answers.json(
        shown.event_type(event_type, after, {}), headers=answers.position(position)
    )


def _check(event_type: str, types: Types) -> None:
    """Whether tenants say what such events are. Raises Invalid."""
    faults = grammar.check_published_type(event_type, "event_type")
    if not faults and event_type in types:
        detail = "its events are recorded by commands, which say what they are"
        faults = [Fault("event_type", "type_reserved", detail)]
    if faults:
        raise Invalid([fault._replace(parameter=True) for fault in faults])


def _read(raw: bytes, before: EventType) -> Declaration:
    """What is declared; what is only shown may be sent back as it was."""
    values, faults = reading.changes(
        raw, DeclareEventType, msgspec.structs.asdict(before)
    )
    description = values.get("description")
    if description is not None:
        faults += grammar.check_description(description)
    if faults:
        raise Invalid(faults)
    given = {name: value for name, value in values.items() if value is not None}
    return Declaration(**given)


async def _names(
    connection: Connection, tenant_id: UUID, paging: Paging, known: Collection[str]
) -> list[str]:
    """The next names from the key on, nearest first.

    Onwards it grows with the page. Backwards it grows with the names before the key: those
    of the log can be walked in one direction only.
    """
    key = str(paging.key[0]) if paging.key else ""
    within = ranges.up_to(key) if paging.backwards else ranges.beyond(key)
    limit = _ALL if paging.backwards else paging.fetch
    seen = await log_views.types_within(connection, tenant_id, within, limit)
    others = {
        name for name in known if (name < key if paging.backwards else name > key)
    }
    names = sorted(others.union(seen), reverse=paging.backwards)
    return names[: paging.fetch]


HANDLERS = (list_event_types, get_event_type, declare_event_type)
