"""The guard before every route: who asks, and whether they may. Denies by default.

It runs before a body is read and before any id is looked at, so who may not do a thing
learns nothing about what exists. It is set as `before_request` and not as one of Litestar's
guards, for which the route handler is copied on each request: an eighth of a publish.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, cast

from litestar import Request
from litestar.routes import HTTPRoute

from api import idempotency, operation, quotas, reading
from api.answers import Answer
from api.authentication import Caller
from api.errors import KeyMissing, ScopeMissing, TenantSuspended, Unauthenticated
from api.operation import OPERATOR, NoParameters, Operation
from api.request import ApiRequest
from api.services import Services
from domain.errors import Fault, Invalid, NotFound


async def authorise(request: Request[Any, Any, Any]) -> Answer | None:
    """Find out who asks, and for whom; an answer, when the route is not to run (again).

    Raises Unauthenticated, RateLimited, ScopeMissing, TenantSuspended, NotFound, Invalid,
    Unavailable.
    """
    scope: Any = request.scope
    declared = operation.of(scope["route_handler"])
    if declared is None:
        if scope["method"] == "OPTIONS":
            return _methods(request)
        raise ScopeMissing("nobody may do this")
    if declared.is_public:
        return None
    ours = cast(ApiRequest, request)
    headers = ours.fields
    services: Services = request.app.state.services
    named = headers.get(b"daybook-tenant")
    sent = _ticket(scope, declared)
    if sent is None:
        asks = services.authenticator.caller(headers.get(b"authorization"), named)
    else:
        asks = services.authenticator.by_ticket(sent)
    caller = await admitted(
        services, scope, asks, named, declared.scopes, declared.policy
    )
    if scope["query_string"] and declared.query is NoParameters:
        reading.parameters(scope["query_string"], NoParameters)
    scope["auth"] = caller
    if b"idempotency-key" in headers:
        return await idempotency.answered(ours, headers[b"idempotency-key"])
    return None


def _methods(request: Request[Any, Any, Any]) -> Answer:
    """The methods of a path. Litestar's own answer knows those of one handler only."""
    scope: Any = request.scope
    [methods] = (
        set(route.methods)
        for route in request.app.routes
        if isinstance(route, HTTPRoute) and route.path_format == scope["path_template"]
    )
    if "GET" in methods:
        methods.add("HEAD")
    allow = {"Allow": ", ".join(sorted(methods))}
    return Answer(b"", status=204, media_type=None, headers=allow)


async def admitted(
    services: Services,
    scope: Any,
    asks: Awaitable[Caller],
    named: bytes | None,
    scopes: Sequence[str],
    policy: str = quotas.DEFAULT,
) -> Caller:
    """Who asks, if they may do what takes one of these scopes, as often as this.

    Raises as above. `scope` is the connection's: whose address it is, and what its answer
    carries.
    """
    caller = await known(services, scope, asks)
    await services.quotas.admit(scope, caller, policy)
    _check_scopes(caller, scopes)
    _check_tenant(caller, named, scopes)
    if caller.is_platform:
        await services.entrances.enter(caller)
    return caller


async def known(services: Services, scope: Any, asks: Awaitable[Caller]) -> Caller:
    """Who asks. Raises Unauthenticated, RateLimited, Unavailable.

    A key that is none is counted for the address; who sends no key has not tried one.
    """
    try:
        return await asks
    except KeyMissing:
        raise
    except Unauthenticated:
        await services.quotas.admit_attempt(scope)
        raise


def _check_scopes(caller: Caller, scopes: Sequence[str]) -> None:
    if scopes and caller.scopes.isdisjoint(scopes):
        raise ScopeMissing(f"it takes {' or '.join(map(_holder, scopes))}")


def _holder(scope: str) -> str:
    return "the operator's key" if scope == OPERATOR else f"a key with {scope}"


def _check_tenant(caller: Caller, named: bytes | None, scopes: Sequence[str]) -> None:
    """A key speaks for its own tenant only, whichever one its sender names."""
    if caller.is_platform and caller.tenant is None:
        if named is not None:
            raise NotFound("there is no tenant of the name in Daybook-Tenant")
        if scopes:
            raise ScopeMissing("a platform key names its tenant in Daybook-Tenant")
    elif named is not None and not caller.is_platform and not caller.speaks_for(named):
        raise ScopeMissing("this key does not speak for the tenant in Daybook-Tenant")
    if caller.is_suspended:
        raise TenantSuspended


def _ticket(scope: Any, declared: Operation) -> str | None:
    """The ticket in the URL, where one may be. Raises Invalid when a key came with it."""
    if b"ticket=" not in scope["query_string"] or not declared.takes_ticket:
        return None
    if b"authorization" in dict(scope["headers"]):
        detail = "with a key there is no ticket"
        raise Invalid([Fault("ticket", "invalid", detail, parameter=True)])
    return dict(reading.pairs(scope["query_string"])).get("ticket")
