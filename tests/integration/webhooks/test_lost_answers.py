"""One statement's answer is lost, once: it is committed, and its connection gone.

Whichever statement it is, the worker carries on as if it had heard: nothing is lost, and
nothing waits for a worker that would come anew.
"""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import commands
from projections.postgres import Link
from projections.webhooks import lanes, replays
from tests.integration.webhooks.test_order import change, first_arrivals
from tests.integration.webhooks.test_replays import ENDED, LANES, ask
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

Hook = tuple[ToldReceiver, str]
STATEMENTS = lanes.QUERIES | lanes.OWNING | lanes.ENDING | replays.QUERIES
SILENT = {"settle", "recover"}  # they answer nothing: the first time is as good as any


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The statement whose answer is lost; named here once it is."""
    hearing, seen = Link.rows, list[str]()

    async def deaf(link: Link, query: Any, *args: Any, **options: Any) -> list[Any]:
        answer = await hearing(link, query, *args, **options)
        is_it = query == STATEMENTS[name] and (answer or name in SILENT)
        if is_it and not seen:
            seen.append(name)
            await link.close()
            raise psycopg.OperationalError("the answer was lost")
        return answer

    monkeypatch.setattr(Link, "rows", deaf)
    return seen


@pytest.mark.parametrize(
    "name", ["first_attempts", "due_attempts", "release", "settle"]
)
async def test_a_stream_goes_on(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, lost: list[str]
) -> None:
    receiver, url = hook
    receiver.answers.append(500)
    await subscribe(log, tenant_id, url, ordering="stream")
    async with working(database_url):
        await publish(log, tenant_id, 4)
        await soon(lambda: rows(database_url, FAILED))
        await hasten(database_url)
        await soon(finished(database_url, 4))

    assert lost
    arrived = await first_arrivals(database_url, receiver)
    assert arrived["site/0"] == [2, 3, 4, 5]


FAILED = "select 1 from daybook.owed where status_code = 500"


@pytest.mark.parametrize("name", ["let_go", "lane_states"])
async def test_a_stream_that_was_held_goes_on(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, lost: list[str]
) -> None:
    receiver, url = hook
    receiver.answers.append(500)
    settings = {"ordering": "stream", "on_dead": "hold", "retry": {"delays": []}}
    webhook_id = await subscribe(log, tenant_id, url, **settings)
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(lambda: rows(database_url, HELD))
        await change(log, tenant_id, webhook_id, url, on_dead="continue")
        await soon(finished(database_url, 3))

    assert lost
    assert [a["daybook-position"] for a in receiver.arrivals] == ["2", "3", "4"]


HELD = "select 1 from daybook.owed where held_at is not null"


@pytest.mark.parametrize("name", ["cancel_owed", "end_skipping", "take_pokes"])
async def test_what_is_to_be_skipped_is_and_the_rest_is_not(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, lost: list[str]
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    context = Context("test")
    await asyncio.to_thread(
        commands.disable, log, context, tenant_id, webhook_id, "manual"
    )
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(lambda: rows(database_url, "select 1 from daybook.owed"))
        await asyncio.to_thread(
            commands.enable, log, context, tenant_id, webhook_id, "skip"
        )
        await publish(log, tenant_id, 2)
        await soon(finished(database_url, 5))

    assert lost
    assert [a["daybook-position"] for a in receiver.arrivals] == ["7", "8"]


@pytest.mark.parametrize(
    "name",
    [
        "take",
        "take_pokes",
        "take_replays",
        "replay_work",
        "hand_off_replay",
        "end_replay_lane",
    ],
)
async def test_a_replay_is_carried_out_once(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, lost: list[str]
) -> None:
    receiver, url = hook
    await publish(log, tenant_id, 3)
    webhook_id = await subscribe(log, tenant_id, url)
    async with working(database_url):
        await soon(lambda: rows(database_url, OWNED))
        await ask(log, tenant_id, webhook_id, to_position=3)
        await soon(lambda: rows(database_url, ENDED))

        async def is_gone() -> bool:
            return not await rows(database_url, LANES)

        await soon(is_gone)

    assert lost
    assert [a["daybook-position"] for a in receiver.arrivals] == ["1", "2", "3"]


OWNED = "select 1 from daybook.lanes where owner is not null"
