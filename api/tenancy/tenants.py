"""Tenants, for the operator: make, list, read, change, suspend, resume."""

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
from api.shapes import Nothing
from api.tenancy import shown
from api.tenancy.schemas import (
    CreateTenant,
    SuspendTenant,
    Tenant,
    TenantChanges,
    TenantPage,
)
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context
from domain.tenancy import commands as tenancy_commands
from domain.tenancy import settings
from domain.tenancy.settings import Settings
from projections.tenancy import views

PATH = "/api/v1/tenants"
ONE = f"{PATH}/{{tenant_id:str}}"
SCOPES = [OPERATOR]


@post(
    PATH,
    **operation(
        "Create a tenant", scopes=SCOPES, body=CreateTenant, answers={201: Tenant}
    ),
)
async def create_tenant(request: ApiRequest) -> Answer:
    """Its log begins with this."""
    sent, log = await request.read(CreateTenant), request.services.log
    tenant_id, named = request.new_id(), _named(sent).get("settings", {})
    wanted = settings.changed(Settings(), named)

    def create(context: Context) -> None:
        tenancy_commands.create_tenant(
            log, context, tenant_id, sent.name, sent.external_id, wanted
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
    """What it is called, and how it is set."""
    found = await _found(request, shapes.parse("ten", tenant_id))
    return answers.json(shown.tenant(found))


@patch(
    ONE,
    **operation(
        "Change a tenant", scopes=SCOPES, body=TenantChanges, answers={200: Tenant}
    ),
)
async def change_tenant(request: ApiRequest, tenant_id: FromPath[str]) -> Answer:
    """What is left out stays, within `settings` and `limits` too."""
    one, raw = shapes.parse("ten", tenant_id), await request.checked()
    before = msgspec.to_builtins(shown.tenant(await _found(request, one)))
    values, faults = reading.changes(raw, TenantChanges, before)
    if faults:
        raise Invalid(faults)
    log, named = request.services.log, _named(TenantChanges(**values))
    return await _change(
        request,
        one,
        lambda context: tenancy_commands.change_tenant(log, context, one, named),
    )


@post(
    f"{ONE}/suspend",
    **operation(
        "Suspend a tenant", scopes=SCOPES, body=SuspendTenant, answers={200: Tenant}
    ),
)
async def suspend_tenant(request: ApiRequest, tenant_id: FromPath[str]) -> Answer:
    """Its keys may do nothing and nothing it is owed is attempted. Repeatable."""
    reason = (await request.read_if_any(SuspendTenant)).reason
    one, log = shapes.parse("ten", tenant_id), request.services.log
    return await _change(
        request,
        one,
        lambda context: tenancy_commands.suspend_tenant(log, context, one, reason),
    )


@post(
    f"{ONE}/resume",
    **operation("Resume a tenant", scopes=SCOPES, body=Nothing, answers={200: Tenant}),
)
async def resume_tenant(request: ApiRequest, tenant_id: FromPath[str]) -> Answer:
    """It goes on where it was; what waited is sent. Repeatable."""
    await request.read_if_any(Nothing)
    one, log = shapes.parse("ten", tenant_id), request.services.log
    return await _change(
        request,
        one,
        lambda context: tenancy_commands.resume_tenant(log, context, one),
    )


async def _change(
    request: ApiRequest, tenant_id: UUID, command: Callable[[Context], None]
) -> Answer:
    position = await _record(request, tenant_id, command)
    after = shown.tenant(await _found(request, tenant_id))
    return answers.json(after, headers=answers.position(position))


async def _record(
    request: ApiRequest, tenant_id: UUID, command: Callable[[Context], None]
) -> int:
    try:
        context = await commands.run(request.caller, command, operator=True)
    except views.ExternalIdTaken:
        fault = Fault("#/external_id", "invalid", "another tenant has it")
        raise Invalid([fault]) from None
    # Its keys are remembered with what they may do, and that has changed.
    request.services.authenticator.forget()
    if context.position is not None:
        return context.position
    return await request.services.head(tenant_id)


def _named(sent: CreateTenant | TenantChanges) -> dict[str, Any]:
    """What was sent, without what was left out."""
    named: dict[str, Any] = msgspec.to_builtins(sent)
    return named


async def _found(request: ApiRequest, tenant_id: UUID) -> views.Tenant:
    async with request.services.operator.connection() as connection:
        tenant = await views.tenant(connection, tenant_id)
    if tenant is None:
        raise NotFound
    return tenant


HANDLERS = (
    create_tenant,
    list_tenants,
    get_tenant,
    change_tenant,
    suspend_tenant,
    resume_tenant,
)
