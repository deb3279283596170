"""Replays: the past owed again, in pieces, each event once, whoever is lost in between."""

import asyncio
from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from domain import ids
from domain.application import Log
from domain.errors import LimitReached
from domain.log.entry import Context
from domain.webhooks import commands
from domain.webhooks.replay import Wanted
from projections.webhooks import past
from tests.support import builders
from tests.support.delivering import (
    ToldReceiver,
    finished,
    publish,
    rows,
    subscribe,
    working,
)
from tests.support.waiting import soon
from workers.webhooks import replayer

Hook = tuple[ToldReceiver, str]
REPLAYS = "select state, handed_off, succeeded, dead, cursor from daybook.replays"
ENDED = "select 1 from daybook.replays where state <> 'running'"
LANES = "select 1 from daybook.lanes where replay > 0"


async def ask(log: Log, tenant_id: UUID, webhook_id: UUID, **wanted: Any) -> UUID:
    replay_id = ids.new()
    given = {"from_position": 1, "to_position": 1000} | wanted
    await asyncio.to_thread(
        commands.request_replay,
        log,
        Context("test"),
        tenant_id,
        webhook_id,
        replay_id,
        Wanted(**given),
    )
    return replay_id


async def test_everything_is_sent_again_under_its_own_id(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "MOST_FOUND", 7)
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    async with working(database_url):
        await publish(log, tenant_id, 30)
        await soon(finished(database_url, 30))
        replay_id = await ask(log, tenant_id, webhook_id, to_position=31)
        await soon(lambda: rows(database_url, ENDED))
        await soon(lambda: gone(database_url))

    again = [a for a in receiver.arrivals if "daybook-replay" in a]
    assert len(again) == 30
    assert {a["daybook-replay"] for a in again} == {ids.encode("rpl", replay_id)}
    assert not any("daybook-sequence" in arrival for arrival in again)
    assert set(receiver.ids().values()) == {2}
    [row] = await rows(database_url, REPLAYS)
    assert tuple(row) == ("completed", 30, 30, 0, 31)
    [event] = await rows(database_url, COMPLETED)
    assert event.n == 1


async def gone(url: str) -> bool:
    return not await rows(url, LANES)


COMPLETED = """
    select count(*) as n from daybook.events where type = 'daybook.replay.completed'
"""


async def test_only_what_failed_and_only_these_types_with_fresh_ids(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    receiver.answers.extend([500, 500])
    webhook_id = await subscribe(log, tenant_id, url, retry={"delays": []})
    async with working(database_url):
        await publish(log, tenant_id, 1, type="crane.moved")
        await publish(log, tenant_id, 1)
        await publish(log, tenant_id, 1, type="truck.moved")
        await soon(finished(database_url, 2))
        await publish(log, tenant_id, 1)
        await soon(finished(database_url, 3))
        wanted = {"event_types": ["crane.inspected", "truck.*"], "only_failed": True}
        replay_id = await ask(
            log, tenant_id, webhook_id, to_position=5, fresh_ids=True, **wanted
        )
        await soon(lambda: rows(database_url, ENDED))

    again = [a for a in receiver.arrivals if "daybook-replay" in a]
    assert [a["daybook-position"] for a in again] == ["3", "4"]
    suffix = f"_{ids.encode('rpl', replay_id)}"
    assert all(a["webhook-id"].endswith(suffix) for a in again)


async def test_streams_and_payload_choose_here_too(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    for number in range(4):
        for stream in ("site/1", "line/1"):
            await publish(log, tenant_id, 1, stream=stream, state=b'{"n":%d}' % number)
    webhook_id = await subscribe(
        log, tenant_id, url, streams=["site/*"], filter={"data.n": {"$gte": 2}}
    )
    async with working(database_url):
        await ask(log, tenant_id, webhook_id, to_position=8)
        await soon(lambda: rows(database_url, ENDED))
        await soon(lambda: gone(database_url))

    assert sorted(a["daybook-position"] for a in receiver.arrivals) == ["5", "7"]


async def test_what_is_older_than_the_webhook_meets_what_is_newer(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    await publish(log, tenant_id, 40, streams=3)
    webhook_id = ids.new()
    settings = builders.settings(
        url=url, event_types=["crane.*"], ordering="stream", max_in_flight=3
    )
    rider = builders.first_secret(tenant_id, webhook_id)

    def create() -> None:
        commands.create(
            log,
            Context("test", riders=[rider]),
            tenant_id,
            webhook_id,
            settings,
            start=Wanted(from_position=1),
            development=True,
        )

    await asyncio.to_thread(create)
    async with working(database_url):
        await publish(log, tenant_id, 20, streams=3)
        await soon(finished(database_url, 60))

    positions = [int(a["daybook-position"]) for a in receiver.arrivals]
    older = [position for position in positions if position <= 40]
    assert sorted(older) == list(range(1, 41))
    assert positions[:40] == older or set(positions[:40]) == set(older)
    assert len(set(positions)) == 60


async def test_one_that_dies_between_two_pieces_leaves_the_rest_to_the_next(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Again and again: each piece is committed, and its worker goes on no further."""
    monkeypatch.setattr(past, "MOST_FOUND", 4)
    webhook_id = await subscribe(log, tenant_id, hook[1])
    await publish(log, tenant_id, 20)
    async with working(database_url):
        await soon(finished(database_url, 20))
    await ask(log, tenant_id, webhook_id, to_position=21)

    def die(name: str) -> None:
        raise RuntimeError(name)

    with monkeypatch.context() as armed:
        armed.setattr(replayer, "failpoint", die)
        for _ in range(3):
            async with working(database_url) as worker:
                await asyncio.wait([worker])
                assert str(worker.exception()) == "replays.owed"
    [row] = await rows(database_url, REPLAYS)
    assert (row.handed_off, row.cursor) == (12, 13)
    async with working(database_url):
        await soon(lambda: rows(database_url, ENDED))

    [row] = await rows(database_url, REPLAYS)
    assert tuple(row) == ("completed", 20, 20, 0, 21)
    again = await rows(
        database_url, "select position from daybook.results where replay = 1 order by 1"
    )
    assert [row.position for row in again] == list(range(2, 22))


async def test_several_at_once_each_its_own(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "MOST_FOUND", 5)
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url)
    async with working(database_url):
        await publish(log, tenant_id, 30)
        await soon(finished(database_url, 30))
        asked = [
            await ask(log, tenant_id, webhook_id, from_position=n, to_position=31)
            for n in (2, 12, 22)
        ]
        await soon(finished(database_url, 30 + 30 + 20 + 10))
        await soon(lambda: gone(database_url))

    counts = Counter(a.get("daybook-replay") for a in receiver.arrivals)
    wanted = zip(map(partial(ids.encode, "rpl"), asked), (30, 20, 10), strict=True)
    assert counts == {None: 30} | dict(wanted)


async def test_a_payload_filter_chooses_of_the_past_as_of_the_present(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    for n in range(12):
        await publish(log, tenant_id, 1, state=b'{"n":%d}' % n, stream=f"s/{n % 2}")
    webhook_id = await subscribe(
        log, tenant_id, url, streams=["s/0"], filter={"data.n": {"$gte": 5}}
    )
    async with working(database_url):
        await ask(log, tenant_id, webhook_id, to_position=12)
        await soon(lambda: rows(database_url, ENDED))

    assert sorted(int(a["daybook-position"]) for a in receiver.arrivals) == [7, 9, 11]


async def test_a_cancelled_replay_sends_nothing_more(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url, max_in_flight=1)
    async with working(database_url):
        await publish(log, tenant_id, 20)
        await soon(finished(database_url, 20))
        receiver.gate.clear()
        replay_id = await ask(log, tenant_id, webhook_id, to_position=21)
        await soon(lambda: receiver.in_flight == 1)
        await asyncio.to_thread(
            commands.end_replay, log, Context("test"), tenant_id, webhook_id, replay_id
        )
        await soon(finished(database_url, 39))
        receiver.gate.set()
        await soon(lambda: gone(database_url))

    assert len(receiver.arrivals) == 21
    [row] = await rows(database_url, REPLAYS)
    assert row.state == "cancelled"
    states = await rows(
        database_url,
        "select state, count(*) as n from daybook.results where replay = 1 "
        "group by 1 order by 1",
    )
    assert [tuple(row) for row in states] == [("cancelled", 19), ("succeeded", 1)]


async def test_what_is_dead_in_a_replay_holds_nothing_there(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(
        log, tenant_id, url, ordering="stream", on_dead="hold", retry={"delays": []}
    )
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(finished(database_url, 3))
        receiver.answers.append(500)
        await ask(log, tenant_id, webhook_id, to_position=4)
        await soon(lambda: rows(database_url, ENDED))

    [row] = await rows(database_url, REPLAYS)
    assert tuple(row) == ("completed", 3, 2, 1, 4)


async def test_a_tenant_has_so_many_at_once(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    webhook_id = await subscribe(log, tenant_id, hook[1])
    for _ in range(4):
        await ask(log, tenant_id, webhook_id)
    with pytest.raises(LimitReached):
        await ask(log, tenant_id, webhook_id)


async def test_live_traffic_keeps_its_share(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url, max_in_flight=4)
    await publish(log, tenant_id, 60)
    async with working(database_url):
        await soon(finished(database_url, 60))
        receiver.gate.clear()
        await ask(log, tenant_id, webhook_id, to_position=61)
        await soon(lambda: receiver.in_flight == 4)
        await publish(log, tenant_id, 10)
        receiver.arrivals.clear()
        receiver.gate.set()
        await soon(finished(database_url, 130))

    live = [n for n, a in enumerate(receiver.arrivals) if "daybook-replay" not in a]
    assert len(live) == 10
    assert max(live) < 45  # of 66: not behind the whole replay
