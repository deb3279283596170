"""Whether the types of what is published are declared, where the tenant asks for that."""

from collections.abc import Sequence

from api.request import ApiRequest
from domain.errors import Fault, Invalid
from domain.log.entry import Entry
from projections.log import views


async def check(request: ApiRequest, entries: Sequence[Entry], at: str = "#") -> None:
    """Raises Invalid with each undeclared type's place; `at` has {} for the entry's number.

    The database is asked only for a strict tenant, and each time: what somebody has just
    declared is taken at once.
    """
    if not request.caller.settings.strict_types:
        return
    tenant_id = request.caller.tenant_id
    types = {entry.type for entry in entries}
    async with request.services.database.tenant(tenant_id) as connection:
        unknown = await views.undeclared_types(connection, tenant_id, types)
    if unknown:
        detail = (
            "nobody has declared this type, and the tenant is strict: "
            "PUT /api/v1/webhook-events/{type} declares it"
        )
        raise Invalid(
            [
                Fault(f"{at.format(number)}/type", "type_undeclared", detail)
                for number, entry in enumerate(entries)
                if entry.type in unknown
            ]
        )
