"""Keys: make, list, rotate, end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath

from api import answers, commands, shapes
from api.answers import Answer
from api.authentication import Caller
from api.errors import unknown
from api.operation import OPERATOR, operation
from api.request import ApiRequest
from api.tenancy import shown
from api.tenancy.schemas import (
    CreateKey,
    Key,
    KeyPage,
    KeyQuery,
    OneKeyQuery,
    RotateKey,
)
from domain import clock, ids
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context
from domain.tenancy import api_key
from domain.tenancy import commands as tenancy_commands
from domain.tenancy.api_key import ACT, PLATFORM
from projections.postgres import Connection
from projections.tenancy import views
from projections.tenancy.inline import key_rider, replacing_rider

PATH = "/api/v1/keys"
ONE = f"{PATH}/{{key_id:str}}"
SCOPES = ["keys:admin", OPERATOR]


@post(
    PATH,
    **operation("Create a key", scopes=SCOPES, body=CreateKey, answers={201: Key}),
)
async def create_key(request: ApiRequest) -> Answer:
    """With some of the maker's own scopes. `key` is shown this once."""
    sent, caller = await request.read(CreateKey), request.caller
    tenant_id = await _tenant_of_new(request, sent)
    _check_expiry(sent.expires_at)
    key_id, key = request.new_id(), api_key.generate()

    def create(context: Context) -> None:
        tenancy_commands.create_key(
            request.services.log,
            context,
            tenant_id,
            key_id,
            name=sent.name,
            scopes=sent.scopes,
            own_scopes=_own_scopes(caller),
            expires_at=sent.expires_at,
        )

    rider = key_rider(tenant_id, key_id, key)
    context = await commands.run(caller, create, riders=[rider])
    return await _shown_once(request, tenant_id, key_id, key, context, status=201)


@get(
    PATH,
    **operation("List keys", scopes=SCOPES, query=KeyQuery, answers={200: KeyPage}),
)
async def list_keys(request: ApiRequest) -> Answer:
    """Oldest first; without the keys themselves."""
    query = request.parameters(KeyQuery)
    paging = request.paging(query)
    named = PLATFORM
    if query.tenant_id is not None or not request.caller.is_operator:
        named = _tenant(request.caller, query.tenant_id, parameter=True)
    async with _rows(request, named) as connection:
        rows = await views.keys(
            connection,
            named,
            UUID(paging.key[0]) if paging.key else None,
            limit=paging.fetch,
            backwards=paging.backwards,
        )
    found = paging.page(rows, lambda row: [str(row.key_id)])
    data = [shown.key(row) for row in found.rows]
    return answers.json(KeyPage(data, found.next, found.prev))


@post(
    f"{ONE}/rotate",
    **operation("Rotate a key", scopes=SCOPES, body=RotateKey, answers={200: Key}),
)
async def rotate_key(request: ApiRequest, key_id: FromPath[str]) -> Answer:
    """Another `key` takes its place, shown this once; it keeps its id.

    Its scopes must be among the caller's own. Without `overlap_seconds` the old one ends
    at once.
    """
    sent, one = await request.read_if_any(RotateKey), shapes.parse("key", key_id)
    tenant_id = await _found(request, one, sent.tenant_id, parameter=False)
    if sent.expires_at not in (None, msgspec.UNSET):
        _check_expiry(sent.expires_at)
    values = msgspec.structs.asdict(sent)
    named = {
        name: values[name]
        for name in ("name", "scopes", "expires_at")
        if values[name] is not msgspec.UNSET
    }
    caller, key = request.caller, api_key.generate()

    def rotate(context: Context) -> None:
        tenancy_commands.rotate_key(
            request.services.log,
            context,
            tenant_id,
            one,
            named,
            own_scopes=_own_scopes(caller),
            overlap_seconds=sent.overlap_seconds,
            now=clock.now(),
        )

    rider = replacing_rider(
        tenant_id, one, key, keeps_previous=sent.overlap_seconds > 0
    )
    context = await commands.run(caller, rotate, riders=[rider])
    request.services.authenticator.forget()
    return await _shown_once(request, tenant_id, one, key, context)


@delete(
    ONE,
    **operation("End a key", scopes=SCOPES, query=OneKeyQuery, answers={204: None}),
)
async def delete_key(request: ApiRequest, key_id: FromPath[str]) -> Answer:
    """At once and for good."""
    query, one = request.parameters(OneKeyQuery), shapes.parse("key", key_id)
    tenant_id = await _found(request, one, query.tenant_id, parameter=True)
    log = request.services.log

    def revoke(context: Context) -> None:
        tenancy_commands.revoke_key(log, context, tenant_id, one)

    context = await commands.run(request.caller, revoke)
    request.services.authenticator.forget()
    position = context.position or await request.services.head(tenant_id)
    return answers.done(position)


async def _shown_once(
    request: ApiRequest,
    tenant_id: UUID,
    key_id: UUID,
    key: str,
    context: Context,
    *,
    status: int = 200,
) -> Answer:
    async with _rows(request, tenant_id) as connection:
        made = await views.key(connection, tenant_id, key_id)
    if made is None:  # somebody has ended it meanwhile
        raise NotFound
    headers = answers.position(context.position or 0)
    return answers.json(shown.key(made, key), status=status, headers=headers)


def _own_scopes(caller: Caller) -> frozenset[str]:
    """What a key of this caller's making may have."""
    if caller.is_operator:
        return frozenset((*api_key.SCOPES, ACT))
    return caller.scopes


async def _tenant_of_new(request: ApiRequest, sent: CreateKey) -> UUID:
    """Whose the new key is. Raises Invalid when the operator names nobody."""
    if not request.caller.is_operator:
        return _tenant(request.caller, sent.tenant_id, parameter=False)
    if ACT in sent.scopes:
        if sent.tenant_id is not None:
            detail = f"a key with {ACT} has no tenant of its own"
            raise Invalid([Fault("#/tenant_id", "invalid", detail)])
        return PLATFORM
    if sent.tenant_id is None:
        raise Invalid([Fault("#/tenant_id", "invalid", "the operator names a tenant")])
    detail = "there is no such tenant"
    try:
        named = _tenant(request.caller, sent.tenant_id, parameter=False)
        async with _rows(request, named) as connection:
            found = await views.tenant(connection, named)
        if found is not None and found.state != "offboarded":
            return named
        if found is not None:
            detail = "it was offboarded, for good"
    except NotFound:
        pass
    raise Invalid([Fault("#/tenant_id", "invalid", detail)])


def _tenant(caller: Caller, text: str | None, *, parameter: bool) -> UUID:
    """The tenant that is meant: the caller's own, or the one the operator names.

    Raises Invalid when another's is named, NotFound for what is none.
    """
    if caller.is_operator:
        named = shapes.parse("ten", text or "")
        if named == PLATFORM:  # nobody's id
            raise NotFound
        return named
    if text not in (None, ids.encode("ten", caller.tenant_id)):
        raise Invalid([unknown("tenant_id", parameter=parameter)])
    return caller.tenant_id


async def _found(
    request: ApiRequest, key_id: UUID, text: str | None, *, parameter: bool
) -> UUID:
    """Whose key it is; the operator knows it by its id alone. Raises NotFound, Invalid."""
    if request.caller.is_operator and text is None:
        async with request.services.operator.connection() as connection:
            owner = await views.owner_of_key(connection, key_id)
        if owner is None:
            raise NotFound
        return owner
    tenant_id = _tenant(request.caller, text, parameter=parameter)
    async with _rows(request, tenant_id) as connection:
        if await views.key(connection, tenant_id, key_id) is None:
            raise NotFound
    return tenant_id


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is None:
        return
    faults = shapes.check_time(expires_at, "#/expires_at")
    if not faults and expires_at <= clock.now():
        faults = [Fault("#/expires_at", "invalid", "it has passed already")]
    if faults:
        raise Invalid(faults)


@asynccontextmanager
async def _rows(request: ApiRequest, tenant_id: UUID) -> AsyncIterator[Connection]:
    """Rows of one tenant, read in the caller's own role."""
    if request.caller.is_operator:
        async with request.services.operator.connection() as connection:
            yield connection
    else:
        async with request.services.database.tenant(tenant_id) as connection:
            yield connection


HANDLERS = (create_key, list_keys, rotate_key, delete_key)
