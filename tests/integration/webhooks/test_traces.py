"""Deliveries carry their event's trace: the publisher's, or one that the event began."""

import asyncio

from domain import traces
from domain.application import Log
from domain.traces import Trace
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.support.builders import a_tenant, a_webhook, an_entry
from tests.support.delivering import receiving, working
from tests.support.waiting import soon

PUBLISHER = Trace(b"t" * 16, b"s" * 8, is_sampled=True)


async def test_every_attempt_is_told_its_trace(
    database_url: str, application: Log, appender: Appender
) -> None:
    tenant_id = await asyncio.to_thread(a_tenant, application)
    async with receiving() as (receiver, url):
        receiver.answers.extend([500, 500])
        webhook = {"url": url, "retry": "fast"}
        await asyncio.to_thread(a_webhook, application, tenant_id, **webhook)
        traced = an_entry(tenant_id, trace=PUBLISHER.packed())
        plain = an_entry(tenant_id)
        await appender.append(Request([traced, plain]))
        async with working(database_url):
            await soon(lambda: len(receiver.arrivals) == 4, 30)
    found: dict[str, list[Trace | None]] = {}
    for arrival in receiver.arrivals:
        told = traces.parse(arrival["traceparent"].encode())
        found.setdefault(arrival["webhook-id"], []).append(told)
    begun = traces.of_event(None, tenant_id, plain.event_id)
    for event_id, cause in ((traced.event_id, PUBLISHER), (plain.event_id, begun)):
        first, second = found[event_id]
        assert first is not None
        assert second is not None
        assert {first.trace_id, second.trace_id} == {cause.trace_id}
        assert first.is_sampled is second.is_sampled is cause.is_sampled
        assert len({first.span_id, second.span_id, cause.span_id}) == 3
