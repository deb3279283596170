"""Tenants, for the operator: make, list, read, rename."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from litestar import get, patch, post
from litestar.params import FromPath

from api import answers, commands, reading, shapes
from api.answers import Answer
from api.operation import OPERATOR, operation
from api.pagination import PageQuery
from api.request import ApiRequest
from api.tenancy import shown
from api.tenancy.schemas import Tenant, TenantChanges, TenantNames, TenantPage
from domain import ids
from domain.application import Log
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context
from domain.tenancy import commands as tenancy_commands
from domain.tenancy import tenant as rules
from projections.tenancy import views

PATH = "/api/v1/tenants"
ONE = f"{PATH}/{{tenant_id:str}}"
SCOPES = [OPERATOR]


@post(
    PATH,
    **operation(
        "Create a tenant", scopes=SCOPES, body=TenantNames, answers={201: Tenant}
    ),
)
async def create_tenant(request: ApiRequest) -> Answer:
    """Its log begins with this."""
    sent, log = await request.read(TenantNames), request.services.log
    tenant_id = ids.new()

    def create(context: Context) -> None:
        tenancy_commands.create_tenant(
            log, context, tenant_id, sent.name, sent.external_id
        )

    position = await _record(request, tenant_id, create)
    made = shown.tenant(await _found(request, tenant_id))
    headers = answers.position(position) | {"Location": f"{PATH}/{made.id}"}
    return answers.json(made, status=201, headers=headers)


@get(
    PATH,
    **operation(
        "List tenants", scopes=SCOPES, query=PageQuery, answers={200: TenantPage}
    ),
)
async def list_tenants(request: ApiRequest) -> Answer:
    """Oldest first."""
    paging = request.paging(request.parameters(PageQuery))
    async with request.services.operator.connection() as connection:
        rows = await views.tenants(
            connection,
            UUID(paging.key[0]) if paging.key else None,
            limit=paging.fetch,
            backwards=paging.backwards,
        )
    found = paging.page(rows, lambda row: [str(row.tenant_id)])
    data = [shown.tenant(row) for row in found.rows]
    return answers.json(TenantPage(data, found.next, found.prev))


@get(ONE, **operation("Read a tenant", scopes=SCOPES, answers={200: Tenant}))
async def get_tenant(request: ApiRequest, tenant_id: FromPath[str]) -> Answer:
    """What it is called."""
    found = await _found(request, shapes.parse("ten", tenant_id))
    return answers.json(shown.tenant(found))


@patch(
    ONE,
    **operation(
        "Rename a tenant", scopes=SCOPES, body=TenantChanges, answers={200: Tenant}
    ),
)
async def change_tenant(request: ApiRequest, tenant_id: FromPath[str]) -> Answer:
    """What is left out stays."""
    one, raw = shapes.parse("ten", tenant_id), await request.checked()
    before = shown.tenant(await _found(request, one))
    values, faults = reading.changes(raw, TenantChanges, msgspec.structs.asdict(before))
    if faults:
        raise Invalid(faults)
    log = request.services.log
    position = await _record(
        request, one, lambda context: _rename(log, context, one, values)
    )
    after = shown.tenant(await _found(request, one))
    return answers.json(after, headers=answers.position(position))


def _rename(
    log: Log, context: Context, tenant_id: UUID, values: dict[str, Any]
) -> None:
    """On the tenant as it is now, so that two renamings never undo each other."""
    tenant = log.load(rules.Tenant, rules.originator_id(tenant_id))
    name = values.get("name", tenant.name)
    external_id = values.get("external_id", tenant.external_id)
    if faults := rules.check(name, external_id):
        raise Invalid(faults)
    tenant.change(name, external_id)
    log.record(tenant, context)


async def _record(
    request: ApiRequest, tenant_id: UUID, command: Callable[[Context], None]
) -> int:
    try:
        context = await commands.run(request.caller, command, operator=True)
    except views.ExternalIdTaken:
        fault = Fault("#/external_id", "invalid", "another tenant has it")
        raise Invalid([fault]) from None
    if context.position is not None:
        return context.position
    return await request.services.head(tenant_id)


async def _found(request: ApiRequest, tenant_id: UUID) -> views.Tenant:
    async with request.services.operator.connection() as connection:
        tenant = await views.tenant(connection, tenant_id)
    if tenant is None:
        raise NotFound
    return tenant


HANDLERS = (create_tenant, list_tenants, get_tenant, change_tenant)
