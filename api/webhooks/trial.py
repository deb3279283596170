"""Test deliveries: only workers send, so one is asked through the database and waited for.

Nothing is held while it is waited for: no connection, no transaction.
"""

import asyncio
import time
from uuid import UUID

import msgspec

from api.request import ApiRequest
from api.system_types import Types
from api.webhooks.schemas import Attempt, SendTest, TestUnanswered
from domain import grammar, ids
from domain.errors import Fault, Invalid, Unavailable
from projections.postgres import Connection
from projections.webhooks import views

TYPE = "daybook.test"
_DATA = b'{"message":"This is a test delivery."}'
_NOTHING = b"{}"
_POLL_SECONDS = (0.02, 0.1)  # first and longest; the receiver decides how long it takes
_SLACK_SECONDS = 2.0  # of a worker that has taken the test


def check(sent: SendTest) -> None:
    """Raise Invalid when this cannot be sent."""
    faults: list[Fault] = []
    if sent.type is not None:
        faults += grammar.check_type(sent.type)
    data = bytes(sent.data)
    if data not in (b"", b"null") and not data.startswith(b"{"):
        faults.append(Fault("#/data", "invalid", "expected an object"))
    if faults:
        raise Invalid(faults)


async def send(
    request: ApiRequest, webhook: views.Webhook, sent: SendTest
) -> Attempt | TestUnanswered:
    """Have it sent and wait: what came of it, or that no worker said in time."""
    tenant_id, request_id = request.caller.tenant_id, ids.new()
    database = request.services.database
    async with database.tenant(tenant_id) as connection:
        data = await _data(connection, tenant_id, sent, request.services.types)
        await views.ask_test(
            connection,
            tenant_id,
            request_id,
            webhook.webhook_id,
            sent.type or TYPE,
            data,
        )
    try:
        return await _wait(request, request_id, float(webhook.timeout_seconds))
    finally:
        await _forget(request, request_id)


async def _forget(request: ApiRequest, request_id: UUID) -> None:
    tenant_id = request.caller.tenant_id
    try:
        async with request.services.database.tenant(tenant_id) as connection:
            await views.forget_test(connection, tenant_id, request_id)
    except Unavailable:
        pass  # workers clear away what nobody asks for any more


async def _data(
    connection: Connection, tenant_id: UUID, sent: SendTest, types: Types
) -> bytes:
    """What was given, else the example of the type."""
    data = bytes(sent.data)
    if data not in (b"", b"null"):
        return data
    if sent.type is None:
        return _DATA
    if own := types.get(sent.type):
        return msgspec.json.encode(own.example or {})
    declared = await views.event_type(connection, tenant_id, sent.type)
    if declared is None or declared.example is None:
        return _NOTHING
    return msgspec.json.encode(declared.example)


async def _wait(
    request: ApiRequest, request_id: UUID, timeout: float
) -> Attempt | TestUnanswered:
    tenant_id = request.caller.tenant_id
    deadline, pause = time.monotonic() + timeout, _POLL_SECONDS[0]
    taken = False
    while True:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _POLL_SECONDS[1])
        async with request.services.database.tenant(tenant_id) as connection:
            test = await views.test(connection, tenant_id, request_id)
        if test.answer is not None:
            return _attempt(test.answer)
        if test.is_taken and not taken:
            taken, deadline = True, time.monotonic() + timeout + _SLACK_SECONDS
        if time.monotonic() > deadline:
            return TestUnanswered(taken)


def _attempt(answer: dict[str, object]) -> Attempt:
    """What the worker wrote, with an id; a test belongs to no delivery."""
    named = {"id": ids.fresh("att"), "delivery_id": None}
    return msgspec.convert(answer | named, Attempt)
