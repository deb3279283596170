"""The guard before every route: who asks, and whether they may. Denies by default.

It runs before a body is read and before any id is looked at, so who may not do a thing
learns nothing about what exists. It is set as `before_request` and not as one of Litestar's
guards, for which the route handler is copied on each request: an eighth of a publish.
"""

from typing import Any

from litestar import Request

from api import operation, reading
from api.authentication import Caller
from api.errors import ScopeMissing, unknown
from api.operation import NoParameters, Operation
from api.services import Services
from domain import ids
from domain.errors import Invalid
from projections.tenancy import views


async def authorise(request: Request[Any, Any, Any]) -> None:
    """Find out who asks. Raises Unauthenticated, ScopeMissing, Invalid, Unavailable."""
    scope: Any = request.scope
    declared = operation.of(scope["route_handler"])
    if declared is None:
        if scope["method"] == "OPTIONS":
            return  # Litestar's own: it lists the methods and nothing else
        raise ScopeMissing("nobody may do this")
    if declared.is_public:
        return
    headers = dict(scope["headers"])
    services: Services = request.app.state.services
    caller = await services.authenticator.caller(headers.get(b"authorization"))
    _check_scopes(caller, declared)
    if b"daybook-tenant" in headers:
        await _check_tenant(services, caller, headers[b"daybook-tenant"])
    if b"idempotency-key" in headers:
        raise Invalid([unknown("Idempotency-Key", parameter=True)])
    if scope["query_string"] and declared.query is NoParameters:
        reading.parameters(scope["query_string"], NoParameters)
    scope["auth"] = caller


def _check_scopes(caller: Caller, declared: Operation) -> None:
    if declared.scopes and caller.scopes.isdisjoint(declared.scopes):
        raise ScopeMissing(f"it takes a key with {' or '.join(declared.scopes)}")


async def _check_tenant(services: Services, caller: Caller, named: bytes) -> None:
    """A key speaks for its own tenant only, whichever one its sender names."""
    own = caller.tenant
    if own is not None and named != ids.encode("ten", own).encode():
        async with services.database.tenant(own) as connection:
            tenant = await views.tenant(connection, own)
        if tenant is None or (tenant.external_id or "").encode() != named:
            own = None
    if own is None:
        raise ScopeMissing("this key does not speak for the tenant in Daybook-Tenant")
