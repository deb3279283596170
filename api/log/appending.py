"""Into the log, with what the tenant's catalogue asks for: declared types, kept schemas."""

from collections.abc import Sequence

from msgspec import structs

from api import observing
from api.log import declared
from api.request import ApiRequest
from domain.errors import DomainError, Fault, Invalid, Outdated
from domain.log.entry import Appended, Entry
from projections import tracing
from projections.log import views

HEADERS = {
    "traceparent": "W3C Trace Context: the trace that the events belong to; it is sent on "
    "with their deliveries, and one that cannot be read is ignored"
}
ATTEMPTS = (
    5  # a catalogue that changes more often between a check and the log is refused
)


async def append(
    request: ApiRequest, entries: Sequence[Entry], at: str = "#", data: str = "/data"
) -> Sequence[Appended]:
    """Append all or none; returns after the commit. Raises DomainError.

    `at` is where an entry stands in what was sent, with {} for its number, and `data` where
    its data stands there.
    """
    entries = _traced(request, entries)
    caller, services, tenant_id = (
        request.caller,
        request.services,
        request.caller.tenant_id,
    )
    if caller.claim is not None and caller.claim.done is not None:
        return await services.append(caller, entries)  # it was done, whatever holds now
    if reserved := services.contexts.check(entries, at):
        raise Invalid(reserved)
    await declared.check(request, entries, at)
    for _ in range(ATTEMPTS):
        head, faults = await services.catalogue.check(tenant_id, entries, at + data)
        try:
            if faults:
                await _refuse(request, entries, faults, head)
            return await services.append(caller, entries, checked=head)
        except Outdated:
            services.catalogue.forget(tenant_id, head)
        except DomainError as error:
            error.faults = error.faults or _places(error, at)
            raise
    raise Outdated


def _places(error: DomainError, at: str) -> list[Fault]:
    """Which events of a batch the log refused; of a single one there is no need to say."""
    if "{}" not in at:
        return []
    return [
        Fault(at.format(refused.number), refused.code, refused.detail)
        for refused in error.refused
    ]


def _traced(request: ApiRequest, entries: Sequence[Entry]) -> Sequence[Entry]:
    """With the trace of the request, those that have none of their own."""
    found = tracing.current() or observing.trace(request.scope)
    if found is None:
        return entries
    packed = found.packed()
    return [
        entry if entry.trace else structs.replace(entry, trace=packed)
        for entry in entries
    ]


async def _refuse(
    request: ApiRequest,
    entries: Sequence[Entry],
    faults: dict[int, list[Fault]],
    head: int,
) -> None:
    """Raise Invalid; Outdated when the schemas that they break are of yesterday.

    Not when all of them have ids that the log knows: it says itself that they are repeats,
    or not. A schema holds for what comes, and a publisher that did not hear its answer may
    repeat what was stored before there was one.
    """
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        if await views.catalogue_head(connection, tenant_id) != head:
            raise Outdated
        repeated = await views.known(
            connection, tenant_id, {number: entries[number] for number in faults}
        )
    wrong = [
        fault for number in faults if number not in repeated for fault in faults[number]
    ]
    if wrong:
        raise Invalid(wrong)
