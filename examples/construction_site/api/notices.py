"""Notices over HTTP: what handlers put up about a site."""

from litestar import get
from litestar.params import FromPath
from msgspec import Struct

from api import answers, consistency, shapes
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.shapes import FollowingQuery, Time
from examples.construction_site.api.answering import READ, identity
from examples.construction_site.projections import notices


class ShownNotice(Struct):
    """What happened, in a sentence."""

    position: int
    text: str
    at: Time


class Notices(Struct):
    """A site's last notices, the newest first."""

    data: list[ShownNotice]


EXAMPLES: dict[str, dict[str, str]] = {}  # nothing is sent


@get(
    "/api/v1/chantiers/{chantier_id:str}/avis",
    **operation(
        "A site's notices", scopes=READ, query=FollowingQuery, answers={200: Notices}
    ),
)
async def list_notices(request: ApiRequest, chantier_id: FromPath[str]) -> Answer:
    """The last 100; with `at_least` they tell of a write."""
    named = identity(chantier_id)
    at_least = request.parameters(FollowingQuery).at_least
    for handler in notices.HANDLERS:
        await consistency.follow(request, handler.name, at_least)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        found = await notices.of_site(connection, tenant_id, named)
    data = [ShownNotice(one.position, one.text, shapes.time(one.at)) for one in found]
    return answers.json(Notices(data))


HANDLERS = (list_notices,)
