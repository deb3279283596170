"""What the key of a request may do, and for whom."""

from litestar import get

from api import answers, limits, shapes
from api.answers import Answer
from api.authentication import Caller
from api.operation import operation
from api.quotas import Quotas
from api.request import ApiRequest
from api.tenancy import shown
from api.tenancy.schemas import Kind, Limits, Me
from domain import ids
from domain.tenancy.api_key import PLATFORM
from domain.tenancy.settings import RATES
from projections.tenancy import views


@get("/api/v1/me", **operation("Who am I?", scopes=[], answers={200: Me}))
async def get_me(request: ApiRequest) -> Answer:
    """The tenant, the scopes and the limits of the key that was sent."""
    caller, database = request.caller, request.services.database
    name = tenant = None
    if caller.key_id is not None:
        owner = PLATFORM if caller.is_platform else caller.tenant_id
        async with database.tenant(owner) as connection:
            key = await views.key(connection, owner, caller.key_id)
        name = key.name if key else None
    if caller.tenant is not None:
        async with database.tenant(caller.tenant) as connection:
            tenant = await views.tenant(connection, caller.tenant)
    me = Me(
        type=_kind(caller),
        key_id=ids.encode("key", caller.key_id) if caller.key_id else None,
        name=name,
        scopes=sorted(caller.scopes),
        expires_at=shapes.time_or_none(caller.expires_at),
        tenant=shown.tenant(tenant) if tenant else None,
        limits=_limits(caller, request.services.quotas),
    )
    return answers.json(me)


def _kind(caller: Caller) -> Kind:
    if caller.is_operator:
        return "operator"
    return "platform" if caller.is_platform else "key"


def _limits(caller: Caller, quotas: Quotas) -> Limits:
    own = caller.settings.limits
    return Limits(
        event_bytes=limits.EVENT_BYTES,
        batch_events=limits.BATCH_EVENTS,
        batch_bytes=limits.BATCH_BYTES,
        body_bytes=limits.BODY_BYTES,
        webhooks=limits.WEBHOOKS if own.webhooks is None else own.webhooks,
        **{rate: quotas.limit(rate, caller) for rate in RATES},
    )


HANDLERS = (get_me,)
