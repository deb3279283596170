"""Declaring an event type, and what that would mean for the events there are."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import islice

import msgspec

from api import commands
from api.checking import Checker
from api.errors import MOST_FAULTS, ScopeMissing
from api.request import ApiRequest
from api.webhooks.type_schemas import BreakingEvent, Broken, DryRun
from domain.errors import Invalid
from domain.log.entry import Context
from domain.webhooks import commands as webhook_commands
from domain.webhooks import event_type as event_types
from domain.webhooks.event_type import Declaration
from projections.log import views
from projections.log.views import Recorded

# One dry run goes on for so long, then says how far it came: whoever asks has a timeout.
SECONDS = 5.0
PORTION = 100  # events read in one transaction: 25 MB of the largest
_TURN = 0.005  # seconds of checking, after which others have their turn
_SHOWN = 10  # errors of one event


def check(declaration: Declaration) -> Checker | None:
    """The schema's checker, if there is one. Raises Invalid, for the example as well."""
    event_types.check(declaration)
    if declaration.schema is None:
        return None
    checker = Checker(declaration.schema)
    if declaration.example is not None:
        example = msgspec.json.encode(declaration.example)
        if faults := checker.faults(example, "#/example"):
            raise Invalid(faults)
    return checker


async def declare(
    request: ApiRequest, event_type: str, declaration: Declaration
) -> int:
    """Have it in the log; the position up to which it holds. Raises DomainError."""
    tenant_id, log = request.caller.tenant_id, request.services.log

    def run(context: Context) -> None:
        webhook_commands.declare(log, context, tenant_id, event_type, declaration)

    context = await commands.run(request.caller, run)
    return context.position or await request.services.head(tenant_id)


async def dry_run(
    request: ApiRequest, event_type: str, checker: Checker | None, after: int
) -> DryRun:
    """Which recorded events would break the schema. Raises ScopeMissing."""
    if "events:read" not in request.caller.scopes:
        raise ScopeMissing(
            "a dry run reads events: it takes a key with events:read too"
        )
    found = DryRun(
        dry_run=True, checked=0, breaking=0, position=after, complete=True, data=[]
    )
    if checker is None:
        found.position = max(
            after, await request.services.head(request.caller.tenant_id)
        )
        return found
    async with request.services.catalogue.dry_run:
        await _look(request, event_type, checker, found)
    return found


async def _look(
    request: ApiRequest, event_type: str, checker: Checker, found: DryRun
) -> None:
    until = time.monotonic() + SECONDS
    turn = time.thread_time()
    head = await request.services.head(request.caller.tenant_id)
    async for event in _events(request, event_type, found.position):
        if time.monotonic() > until:
            found.complete = False
            return
        _judge(checker, event, found)
        if time.thread_time() - turn > _TURN:
            await asyncio.sleep(0)
            turn = time.thread_time()
    found.position = max(found.position, head)


def _judge(checker: Checker, event: Recorded, found: DryRun) -> None:
    found.checked += 1
    found.position = event.position
    if checker.keeps(event.state):
        return
    found.breaking += 1
    if len(found.data) < MOST_FAULTS:
        faults = islice(checker.faults(event.state, "#/data"), _SHOWN)
        errors = [Broken(fault.pointer, fault.detail) for fault in faults]
        found.data.append(BreakingEvent(event.event_id, event.position, errors))


async def _events(
    request: ApiRequest, event_type: str, after: int
) -> AsyncIterator[Recorded]:
    """The type's events in order; each portion in a transaction of its own."""
    tenant_id = request.caller.tenant_id
    while True:
        async with request.services.database.tenant(tenant_id) as connection:
            rows = await views.recorded(
                connection, tenant_id, event_type, after, PORTION
            )
        for row in rows:
            yield row
        if len(rows) < PORTION:
            return
        after = rows[-1].position
