"""A suspended tenant: what it is owed waits, and is sent when it goes on."""

import asyncio
from uuid import UUID

from domain.application import Log
from domain.log.entry import OPERATOR, Context
from domain.tenancy import commands as tenancy
from tests.support.builders import a_tenant
from tests.support.delivering import (
    ToldReceiver,
    finished,
    hasten,
    publish,
    rows,
    subscribe,
    working,
)
from tests.support.waiting import soon

WAITING = "select 1 from daybook.owed where next_attempt_at is not null"


async def suspended(log: Log, tenant_id: UUID) -> None:
    context = Context(OPERATOR, operator=True)
    await asyncio.to_thread(tenancy.suspend_tenant, log, context, tenant_id, None)


async def resumed(log: Log, tenant_id: UUID) -> None:
    context = Context(OPERATOR, operator=True)
    await asyncio.to_thread(tenancy.resume_tenant, log, context, tenant_id)


async def two_tenants(log: Log) -> tuple[UUID, UUID]:
    return (
        await asyncio.to_thread(a_tenant, log),
        await asyncio.to_thread(a_tenant, log, "other"),
    )


async def neighbours_work(
    url: str, log: Log, neighbour: UUID, receiver: ToldReceiver
) -> None:
    """The worker has looked at its lanes twice: somebody else's events have arrived."""
    for _ in range(2):
        before = len(receiver.arrivals)
        await publish(log, neighbour)
        await soon(lambda n=before: len(receiver.arrivals) > n)


async def test_nothing_is_attempted_until_it_goes_on(
    database_url: str, log: Log, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    tenant_id, neighbour = await two_tenants(log)
    await subscribe(log, tenant_id, url, max_in_flight=1)
    await subscribe(log, neighbour, url)
    async with working(database_url):
        # given: one delivery waits for a retry, and then the tenant is suspended
        receiver.answers.append(500)
        await publish(log, tenant_id)
        await soon(lambda: rows(database_url, WAITING))
        await suspended(log, tenant_id)
        await publish(log, tenant_id, 4)
        await hasten(database_url)
        # then: it is owed five, and nothing is sent
        await neighbours_work(database_url, log, neighbour, receiver)
        assert len(receiver.arrivals) == 3
        owed = "select count(*) as n from daybook.owed where tenant_id = %s"
        [found] = await rows(database_url, owed, tenant_id)
        assert found.n == 5
        # when: it goes on
        await resumed(log, tenant_id)
        # then: all of it arrives, without anybody doing anything more
        await soon(finished(database_url, 7))
    assert sorted(receiver.ids().values()) == [1, 1, 1, 1, 1, 1, 2]


async def test_one_that_is_suspended_from_the_start_is_found_by_a_new_worker(
    database_url: str, log: Log, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    tenant_id, neighbour = await two_tenants(log)
    await subscribe(log, tenant_id, url)
    await subscribe(log, neighbour, url)
    await publish(log, tenant_id, 3)
    await suspended(log, tenant_id)
    async with working(database_url):
        await neighbours_work(database_url, log, neighbour, receiver)
        assert len(receiver.arrivals) == 2
        await resumed(log, tenant_id)
        await soon(finished(database_url, 5))
    assert set(receiver.ids().values()) == {1}
