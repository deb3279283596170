"""Claims: one run at a time for a key, whoever dies, and one effect whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from domain.application import Log
from domain.errors import IdempotencyRunning, Repeated
from domain.log.entry import OPERATOR, Claim, Context
from domain.tenancy import commands as tenancy
from projections.log import claims as module
from projections.log.appender import Appender
from projections.log.claims import Claims
from projections.log.request_queue import Request
from projections.postgres import Database, Link
from tests.support.builders import an_entry
from tests.support.waiting import soon
from workers import sweeping

Admin = psycopg.Connection[Any]
PRINT = b"a fingerprint"


@pytest.fixture
async def links(database_url: str) -> AsyncIterator[list[Link]]:
    """The connections of two processes."""
    made = [Link(database_url, "daybook_edge", f"claims {n}") for n in range(2)]
    yield made
    for link in made:
        await link.close()


@pytest.fixture
def processes(links: list[Link]) -> list[Claims]:
    """Two processes."""
    return [Claims(link) for link in links]


def a_claim(owner: UUID, key: str = "k", run: UUID | None = None) -> Claim:
    return Claim(owner, key, PRINT, run or ids.new(), ids.new())


async def held(claims: Claims, tenant_id: UUID, until: asyncio.Event) -> None:
    async with claims.claimed((tenant_id, "k")) as kept:
        assert kept.is_ours
        await until.wait()


@pytest.mark.parametrize("other", [0, 1], ids=["same process", "another"])
async def test_a_second_request_waits_for_the_first(
    processes: list[Claims], tenant_id: UUID, other: int, monkeypatch: Any
) -> None:
    # given: a request that runs, and the patience of another that is short
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    until = asyncio.Event()
    first = asyncio.create_task(held(processes[0], tenant_id, until))
    await soon(lambda: processes[0]._turns)
    await processes[0]._together.ask((tenant_id, "sent after it"))
    # then: the other gives up, and one under another key does not wait at all
    with pytest.raises(IdempotencyRunning):
        async with processes[other].claimed((tenant_id, "k")):
            pass
    async with processes[other].claimed((tenant_id, "l")) as kept:
        assert kept.is_ours
    # when: the first is done, then the key is free
    until.set()
    await first
    async with processes[other].claimed((tenant_id, "k")) as kept:
        assert kept.is_ours


async def test_a_key_is_free_as_soon_as_its_process_is_gone(
    processes: list[Claims], database_url: str, tenant_id: UUID
) -> None:
    first = asyncio.create_task(held(processes[0], tenant_id, asyncio.Event()))
    await soon(lambda: processes[0]._turns)
    await processes[0]._together.ask((tenant_id, "sent after it"))
    second = asyncio.create_task(_at_once(processes[1], tenant_id))
    async with await psycopg.AsyncConnection.connect(
        database_url, autocommit=True
    ) as admin:
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'daybook claims 0'"
        )
    assert await second
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def _at_once(claims: Claims, tenant_id: UUID) -> bool:
    async with claims.claimed((tenant_id, "k")) as kept:
        return kept.is_ours


async def test_of_two_runs_the_second_to_commit_leaves_nothing(
    appender: Appender, admin: Admin, tenant_id: UUID
) -> None:
    """As when the session that held the claim was lost while its request went on."""
    requests = [
        Request([an_entry(tenant_id)], claim=a_claim(tenant_id)),
        Request([an_entry(tenant_id)]),
        Request([an_entry(tenant_id), an_entry(tenant_id)], claim=a_claim(tenant_id)),
        Request([an_entry(tenant_id)], claim=a_claim(tenant_id, "another key")),
    ]
    outcomes = await asyncio.gather(
        *map(appender.append, requests), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [list, list, Repeated, list]
    rows = admin.execute("select event_id from events order by position").fetchall()
    # The refused one went out of the way of its neighbours; they may have changed places.
    stored = [requests[n].entries[0].event_id for n in (0, 1, 3)]
    assert sorted(row.event_id for row in rows) == sorted(stored)


async def test_a_command_that_was_run_before_leaves_nothing(
    application: Log, admin: Admin
) -> None:
    tenant_id = ids.new()
    claim = a_claim(tenant_id)

    def create(run: Claim, name: str) -> Context:
        context = Context(OPERATOR, operator=True, claim=run)
        tenancy.create_tenant(application, context, ids.new(), name, None)
        return context

    first = await asyncio.to_thread(create, claim, "first")
    with pytest.raises(Repeated):
        await asyncio.to_thread(create, a_claim(tenant_id), "second")
    # The run that is lost after its effect is taken up: it does nothing, and knows all.
    claim.done = first.receipts
    again = await asyncio.to_thread(create, claim, "third")
    assert again.receipts == first.receipts
    [row] = admin.execute("select name from tenants").fetchall()
    assert row.name == "first"


async def test_what_was_answered_is_told_again(
    appender: Appender, processes: list[Claims], database_url: str, tenant_id: UUID
) -> None:
    reader = Database(database_url, "daybook_app", "reader", size=1)
    await reader.open()
    claim = a_claim(tenant_id)
    entries = [an_entry(tenant_id), an_entry(tenant_id, stream="site/8")]
    receipts = await appender.append(Request(entries, claim=claim))
    async with processes[0].claimed((tenant_id, "k")) as kept:
        assert (kept.fingerprint, kept.run, kept.made, kept.status) == (
            PRINT,
            claim.run,
            claim.made,
            None,
        )
        async with reader.tenant(tenant_id) as connection:
            assert await module.receipts(connection, kept) == receipts
        await reader.close()
        await processes[0].keep(claim, 202, {"a": "b"}, b"body")
    async with processes[1].claimed((tenant_id, "k")) as kept:
        assert (kept.status, kept.headers, kept.body) == (202, {"a": "b"}, b"body")
        assert kept.positions == [receipt.position for receipt in receipts]


async def test_old_keys_are_forgotten_step_by_step(
    admin: Admin, database_url: str, tenant_id: UUID
) -> None:
    admin.execute(
        "insert into idempotency_keys (tenant_id, key, fingerprint, run, made, kept_at)"
        " select %s, n::text, 'x', gen_random_uuid(), gen_random_uuid(),"
        " now() - make_interval(hours => n) from generate_series(20, 29) as n",
        [tenant_id],
    )
    link = Link(database_url, "daybook_worker", "test")
    assert [await sweeping.sweep(link, 4) for _ in range(2)] == [6, 0]
    await link.close()
    rows = admin.execute("select key from idempotency_keys order by key").fetchall()
    assert [row.key for row in rows] == ["20", "21", "22", "23"]
