"""`/metrics`, for Prometheus and nobody else: it takes the operator's key.

Configure the scraper with `authorization: credentials: <operator key>`. What the process
has counted is shown even while the database is away.
"""

from litestar import get

from api import guards
from api.answers import Answer
from api.errors import ScopeMissing
from api.operation import public
from api.request import ApiRequest
from domain.errors import Unavailable
from projections import figures, health, telemetry


# Not part of the API proper, as the pages are not; but not for everybody.
@get("/metrics", **public())
async def get_metrics(request: ApiRequest) -> Answer:
    """What this process counted, and how far projections are."""
    authorization = dict(request.scope["headers"]).get(b"authorization")
    caller = await guards.known(
        request.services,
        request.scope,
        request.services.authenticator.caller(authorization),
    )
    if not caller.is_operator:
        raise ScopeMissing("it takes the operator's key")
    found: telemetry.Families = []
    try:
        async with request.services.operator.connection() as connection:
            found = figures.of_projections(await health.checkpoints(connection))
    except Unavailable:
        pass  # what was counted is told all the same
    return Answer(telemetry.text(found), media_type=telemetry.MEDIA_TYPE)


HANDLERS = (get_metrics,)
