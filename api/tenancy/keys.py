"""Keys: make, list, end; and what the key of a request may do.

A key manages those of its own tenant; the operator's names the tenant.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath

from api import answers, commands, limits, shapes
from api.answers import Answer
from api.errors import unknown
from api.operation import OPERATOR, operation
from api.request import ApiRequest
from api.tenancy import shown
from api.tenancy.schemas import (
    CreateKey,
    Key,
    KeyPage,
    KeyQuery,
    Limits,
    Me,
    OneKeyQuery,
)
from domain import clock, ids
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context
from domain.tenancy import api_key
from domain.tenancy import commands as tenancy_commands
from projections.postgres import Connection
from projections.tenancy import views
from projections.tenancy.inline import key_rider

PATH = "/api/v1/keys"
SCOPES = ["keys:admin", OPERATOR]
_NOBODY = UUID(int=0)
_LIMITS = Limits(
    event_bytes=limits.EVENT_BYTES,
    batch_events=limits.BATCH_EVENTS,
    batch_bytes=limits.BATCH_BYTES,
    body_bytes=limits.BODY_BYTES,
    webhooks=limits.WEBHOOKS,
)


@post(
    PATH,
    **operation("Create a key", scopes=SCOPES, body=CreateKey, answers={201: Key}),
)
async def create_key(request: ApiRequest) -> Answer:
    """With some of the maker's own scopes. `key` is shown this once."""
    sent, caller = await request.read(CreateKey), request.caller
    tenant_id = await _tenant_of_new(request, sent.tenant_id)
    _check_expiry(sent)
    key_id, key = ids.new(), api_key.generate()

    def create(context: Context) -> None:
        tenancy_commands.create_key(
            request.services.log,
            context,
            tenant_id,
            key_id,
            name=sent.name,
            scopes=sent.scopes,
            own_scopes=api_key.SCOPES if caller.is_operator else caller.scopes,
            expires_at=sent.expires_at,
        )

    rider = key_rider(tenant_id, key_id, key)
    context = await commands.run(caller, create, riders=[rider])
    async with _rows(request, tenant_id) as connection:
        made = await views.key(connection, tenant_id, key_id)
    if made is None:  # somebody has ended it meanwhile
        raise NotFound
    headers = answers.position(context.position or 0)
    return answers.json(shown.key(made, key), status=201, headers=headers)


@get(
    PATH,
    **operation("List keys", scopes=SCOPES, query=KeyQuery, answers={200: KeyPage}),
)
async def list_keys(request: ApiRequest) -> Answer:
    """Oldest first; without the keys themselves."""
    query = request.parameters(KeyQuery)
    paging = request.paging(query)
    named = _named(request, query.tenant_id, parameter=True)
    if named is None:
        detail = "the operator names a tenant"
        raise Invalid([Fault("tenant_id", "invalid", detail, parameter=True)])
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


@delete(
    f"{PATH}/{{key_id:str}}",
    **operation("End a key", scopes=SCOPES, query=OneKeyQuery, answers={204: None}),
)
async def delete_key(request: ApiRequest, key_id: FromPath[str]) -> Answer:
    """At once and for good."""
    query, one = request.parameters(OneKeyQuery), shapes.parse("key", key_id)
    tenant_id = _named(request, query.tenant_id, parameter=True)
    if tenant_id is None:
        tenant_id = await _owner(request, one)
    async with _rows(request, tenant_id) as connection:
        if await views.key(connection, tenant_id, one) is None:
            raise NotFound
    log = request.services.log

    def revoke(context: Context) -> None:
        tenancy_commands.revoke_key(log, context, tenant_id, one)

    context = await commands.run(request.caller, revoke)
    request.services.authenticator.forget()
    position = context.position or await request.services.head(tenant_id)
    return answers.done(position)


@get("/api/v1/me", **operation("Who am I?", scopes=[], answers={200: Me}))
async def get_me(request: ApiRequest) -> Answer:
    """The tenant, the scopes and the limits of the key that was sent."""
    caller = request.caller
    if caller.is_operator or caller.key_id is None:
        scopes = sorted(caller.scopes)
        return answers.json(Me("operator", None, None, scopes, None, _LIMITS))
    async with _rows(request, caller.tenant_id) as connection:
        tenant = await views.tenant(connection, caller.tenant_id)
        key = await views.key(connection, caller.tenant_id, caller.key_id)
    me = Me(
        type="key",
        key_id=ids.encode("key", caller.key_id),
        name=key.name if key else None,
        scopes=sorted(caller.scopes),
        tenant=shown.tenant(tenant) if tenant else None,
        limits=_LIMITS,
    )
    return answers.json(me)


async def _tenant_of_new(request: ApiRequest, text: str | None) -> UUID:
    """Whose the new key is. Raises Invalid when the operator names nobody."""
    named = _named(request, text, parameter=False)
    if named is None:
        raise Invalid([Fault("#/tenant_id", "invalid", "the operator names a tenant")])
    if request.caller.is_operator:
        async with _rows(request, named) as connection:
            if await views.tenant(connection, named) is None:
                fault = Fault("#/tenant_id", "invalid", "there is no such tenant")
                raise Invalid([fault])
    return named


def _named(request: ApiRequest, text: str | None, *, parameter: bool) -> UUID | None:
    """The tenant that is meant; None when the operator names none. Raises Invalid."""
    own = request.caller.tenant
    if own is not None and text not in (None, ids.encode("ten", own)):
        raise Invalid([unknown("tenant_id", parameter=parameter)])
    if own is not None or text is None:
        return own
    try:
        return ids.decode("ten", text)
    except ids.MalformedId:
        return _NOBODY


def _check_expiry(sent: CreateKey) -> None:
    if sent.expires_at is None:
        return
    faults = shapes.check_time(sent.expires_at, "#/expires_at")
    if not faults and sent.expires_at <= clock.now():
        faults = [Fault("#/expires_at", "invalid", "it has passed already")]
    if faults:
        raise Invalid(faults)


async def _owner(request: ApiRequest, key_id: UUID) -> UUID:
    """Whose key it is; only the operator asks. Raises NotFound."""
    async with request.services.operator.connection() as connection:
        owner = await views.owner_of_key(connection, key_id)
    if owner is None:
        raise NotFound
    return owner


@asynccontextmanager
async def _rows(request: ApiRequest, tenant_id: UUID) -> AsyncIterator[Connection]:
    """Rows of one tenant, read in the caller's own role."""
    if request.caller.is_operator:
        async with request.services.operator.connection() as connection:
            yield connection
    else:
        async with request.services.database.tenant(tenant_id) as connection:
            yield connection


HANDLERS = (create_key, list_keys, delete_key, get_me)
