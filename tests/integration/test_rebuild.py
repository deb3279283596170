"""Rebuilds of the read model `streams`, beside its live rows, while events come."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain import ids
from domain.application import Log
from projections import rebuild, runner
from projections.log.appender import Appender
from projections.log.request_queue import Request
from projections.log.streams import Streams
from projections.postgres import Connection
from projections.projection import Batch, NeedsNewerCode, Rebuildable
from projections.rebuild import Rebuilder
from projections.runner import Runner
from projections.webhooks.handoff import Handoff
from tests.support import counting
from tests.support.builders import a_webhook, an_entry
from tests.support.fold import fold_streams, live_streams
from tests.support.processes import product
from tests.support.waiting import eventually, soon

Admin = psycopg.Connection[Any]

ROWS = "select generation, count(*) as n from stream_heads group by 1 order by 1"
SPOIL = "update stream_heads set version = 99 where tenant_id = %s"
RECORDS = """
    select (select array_agg(o order by o) from owed o) as owed,
        (select array_agg(a order by a) from attempts a) as attempts,
        (select array_agg(r order by r) from results r) as results,
        (select array_agg(s order by s) from webhook_sequences s) as sequences,
        (select c from checkpoints c where c.name = 'deliveries') as checkpoint
"""


@pytest.fixture
def admin(database_url: str) -> Iterator[Admin]:
    """A connection that sees everything."""
    with counting.admin(database_url) as connection:
        yield connection


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a rebuild of a few events takes several steps."""
    monkeypatch.setattr(rebuild, "BATCH", 50)
    for module in (rebuild, runner):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.02)


def ask(admin: Admin, *, version: int = 1, tenant_id: UUID | None = None) -> UUID:
    """Ask for a rebuild, as the API does."""
    rebuild_id = ids.new()
    admin.execute(
        "insert into rebuilds (rebuild_id, name, tenant_id, version, state, target,"
        " asked_by) select %s, name, %s, %s, 'running', log_position, 'test'"
        " from checkpoints where name = 'streams'",
        (rebuild_id, tenant_id, version),
    )
    return rebuild_id


def state_of(admin: Admin, rebuild_id: UUID) -> Any:
    query = "select * from rebuilds where rebuild_id = %s"
    [row] = admin.execute(query, [rebuild_id]).fetchall()
    return row


def checkpoint(admin: Admin) -> Any:
    [row] = admin.execute("select * from checkpoints where name = 'streams'").fetchall()
    return row


def head(admin: Admin) -> int:
    [row] = admin.execute("select max(log_position) as head from events").fetchall()
    return int(row.head)


def generations(admin: Admin) -> dict[int, int]:
    """How many rows each generation has."""
    return {row.generation: row.n for row in admin.execute(ROWS).fetchall()}


async def publish(
    appender: Appender, tenant_id: UUID, count: int, streams: int = 30
) -> None:
    entries = [an_entry(tenant_id, stream=f"s/{n % streams}") for n in range(count)]
    for start in range(0, count, 500):
        await appender.append(Request(entries[start : start + 500]))


async def catch_up(url: str, projection: Rebuildable | None = None) -> None:
    """The live rows, up to the head."""
    live = Runner(url, projection or Streams())
    while await live.step():
        pass


@asynccontextmanager
async def rebuilding(
    url: str, *projections: Rebuildable
) -> AsyncIterator[tuple[Rebuilder, Connection]]:
    """A rebuilder whose steps the test takes itself."""
    rebuilder = Rebuilder(url, projections or [Streams()])
    async with await rebuilder._connect() as connection:
        yield rebuilder, connection


@asynccontextmanager
async def working(url: str) -> AsyncIterator[None]:
    """What two workers do: each a runner of the live rows and a rebuilder."""
    loops = [Runner(url, Streams()).run() for _ in range(2)]
    loops += [Rebuilder(url, [Streams()]).run() for _ in range(2)]
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Reader:
    """Reads a stream all the time as a tenant does; it must be there and never go back."""

    def __init__(self, url: str, tenant_id: UUID) -> None:
        self._url, self._tenant_id = url, tenant_id
        self.reads = 0
        self.seen = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            options=f"-c role=daybook_app -c search_path=daybook"
            f" -c app.tenant_id={self._tenant_id}",
        ) as connection:
            while True:
                cursor = await connection.execute(READ)
                [(version,)] = await cursor.fetchall()
                assert version >= self.seen
                self.seen, self.reads = version, self.reads + 1


READ = """
    select version from stream_heads
    where tenant_id = current_setting('app.tenant_id')::uuid and stream = 's/7'
        and generation = live_generation('streams')
"""


async def test_reads_answer_throughout_and_the_pointer_moves_while_events_come(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 600)
    await catch_up(database_url)
    reader = Reader(database_url, tenant_id)
    reading = asyncio.create_task(reader.run())
    async with working(database_url):
        # when: it is rebuilt three times, events and reads going on
        for _ in range(3):
            rebuild_id = ask(admin)
            while state_of(admin, rebuild_id).state == "running":
                await publish(appender, tenant_id, 2)
            # then
            ended = state_of(admin, rebuild_id)
            assert (ended.state, ended.parity["equal"]) == ("switched", True)
            assert ended.log_position >= ended.target >= 600
        await soon(lambda: not checkpoint(admin).sweep)
        await soon(lambda: checkpoint(admin).log_position == head(admin))
    assert not reading.done()
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    assert reader.reads > 50
    assert checkpoint(admin).generation == 4
    assert generations(admin) == {4: 30}
    assert live_streams(admin) == fold_streams(admin)


@pytest.mark.timeout(120)
def test_a_worker_killed_half_way_leaves_whole_batches_and_the_next_goes_on(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    tmp_path: Path,
) -> None:
    for _ in range(24):
        entries = [an_entry(tenant_id, stream=f"s/{n}") for n in range(500)]
        appender.submit(Request(entries))
    asyncio.run(catch_up(database_url))
    rebuild_id = ask(admin)
    with product(database_url, tmp_path) as made:
        # when: a worker dies after its first batch
        worker = made.work()
        worker.kill()
        worker.environ |= {
            "DAYBOOK_TEST_HARNESS": "1",
            "DAYBOOK_FAILPOINTS": "rebuild.batched=kill",
        }
        worker.start()
        assert worker.running is not None
        assert worker.running.wait(30) == -9
        # then: that batch is there, and nobody sees it
        half = state_of(admin, rebuild_id)
        assert (half.state, half.log_position) == ("running", rebuild.BATCH)
        assert generations(admin) == {1: 500, half.generation: 500}
        assert checkpoint(admin).generation == 1
        # when: the next one comes
        made.work()
        eventually(lambda: state_of(admin, rebuild_id).state == "switched", 30)
        eventually(lambda: generations(admin) == {half.generation: 500}, 30)
    assert live_streams(admin) == fold_streams(admin)


async def test_a_cancelled_rebuild_is_swept_away(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 300)
    await catch_up(database_url)
    rebuild_id = ask(admin)
    async with rebuilding(database_url) as (rebuilder, connection):
        await rebuilder.step(connection)
        assert generations(admin) == {1: 30, 2: 30}
        # when
        admin.execute(CANCEL)
        while await rebuilder.step(connection):
            pass
    # then
    assert state_of(admin, rebuild_id).state == "cancelled"
    assert state_of(admin, rebuild_id).log_position == 50
    assert generations(admin) == {1: 30}
    assert checkpoint(admin).generation == 1
    assert not checkpoint(admin).sweep


CANCEL = """
    with cancelled as (
        update rebuilds set state = 'cancelled' where state = 'running' returning name)
    update checkpoints c set sweep = true from cancelled n where c.name = n.name
"""


async def test_one_tenant_alone_is_made_anew_in_place(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    other = ids.new()
    await publish(appender, tenant_id, 100)
    await publish(appender, other, 100)
    await catch_up(database_url)
    # given: rows of both are wrong
    for each in (tenant_id, other):
        admin.execute(SPOIL, [each])
    rebuild_id = ask(admin, tenant_id=tenant_id)
    async with rebuilding(database_url) as (rebuilder, connection):
        await rebuilder.step(connection)
    # then
    assert state_of(admin, rebuild_id).state == "switched"
    assert checkpoint(admin).generation == 1
    live, fold = live_streams(admin), fold_streams(admin)
    assert len(live) == 60
    for tenant, stream in live:
        is_right = live[tenant, stream] == fold[tenant, stream]
        assert is_right == (tenant == tenant_id)


async def test_rows_that_differ_at_the_same_version_fail_the_rebuild(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 300)
    await catch_up(database_url)
    admin.execute(SPOIL, [tenant_id])
    rebuild_id = ask(admin)
    async with rebuilding(database_url) as (rebuilder, connection):
        while await rebuilder.step(connection):
            pass
    ended = state_of(admin, rebuild_id)
    assert ended.state == "failed"
    assert (
        ended.error == "the rebuilt rows differ from the live ones of the same version"
    )
    assert ended.parity["equal"] is False
    assert ended.parity["live"][0] == ended.parity["rebuilt"][0] == 30
    assert ended.parity["live"][1] != ended.parity["rebuilt"][1]
    # The live rows stay, for somebody to look at; the others are gone.
    assert checkpoint(admin).generation == 1
    assert generations(admin) == {1: 30}


class NewStreams(Streams):
    """Rows as the next version of the program makes them."""

    version = 2


async def test_a_new_version_waits_until_its_differences_are_accepted(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 300)
    await catch_up(database_url)
    admin.execute(SPOIL, [tenant_id])
    rebuild_id = ask(admin, version=2)
    # when: the old program cannot, the new one does
    async with rebuilding(database_url) as (rebuilder, connection):
        assert not await rebuilder.step(connection)
    async with rebuilding(database_url, NewStreams()) as (rebuilder, connection):
        while await rebuilder.step(connection):
            pass
        ready = state_of(admin, rebuild_id)
        assert (ready.state, ready.parity["equal"]) == ("ready", False)
        assert checkpoint(admin).generation == 1
        # when: events come meanwhile, and it is accepted
        await publish(appender, tenant_id, 100)
        await catch_up(database_url)
        admin.execute("update rebuilds set accept = true")
        while await rebuilder.step(connection):
            pass
    assert state_of(admin, rebuild_id).state == "switched"
    assert (checkpoint(admin).version, checkpoint(admin).generation) == (2, 2)
    assert live_streams(admin) == fold_streams(admin)
    # then: the old program lets these rows be
    await publish(appender, tenant_id, 10)
    with pytest.raises(NeedsNewerCode):
        await catch_up(database_url)
    await catch_up(database_url, NewStreams())
    assert live_streams(admin) == fold_streams(admin)


async def test_what_the_live_rows_are_without_the_new_ones_are_without_too(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 200)
    admin.execute(
        "insert into projection_errors (name, log_position, tenant_id, stream, state,"
        " error) select 'streams', log_position, tenant_id, stream, 'skipped', 'no'"
        " from events where log_position in (3, 171, 200)"
    )
    await catch_up(database_url)
    rebuild_id = ask(admin)
    async with rebuilding(database_url) as (rebuilder, connection):
        while await rebuilder.step(connection):
            pass
    ended = state_of(admin, rebuild_id)
    assert (ended.state, ended.parity["equal"]) == ("switched", True)
    assert live_streams(admin) != fold_streams(admin)


class Failing(Streams):
    """It fails in the middle of a rebuild."""

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Fail."""
        await super().apply(connection, batch)
        if batch.generation > 1 and batch.after:
            raise ValueError("it cannot be applied")


async def test_a_rebuild_that_cannot_apply_an_event_leaves_the_live_rows(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 200)
    await catch_up(database_url)
    rebuild_id = ask(admin)
    async with rebuilding(database_url, Failing()) as (rebuilder, connection):
        while await rebuilder.step(connection):
            pass
    ended = state_of(admin, rebuild_id)
    assert ended.state == "failed"
    assert ended.error == "ValueError: it cannot be applied"
    assert generations(admin) == {1: 30}
    assert live_streams(admin) == fold_streams(admin)


class Hasty(Streams):
    """While it is about to sweep, another worker begins the next rebuild."""

    def __init__(self, url: str, admin: Admin) -> None:
        self._url, self._admin = url, admin
        self.begun: UUID | None = None

    async def clear(
        self, connection: Connection, keep: Sequence[int], most: int
    ) -> int:
        """Sweep, a little late."""
        if self.begun is None:
            self.begun = ask(self._admin)
            async with rebuilding(self._url) as (other, own):
                await other._rebuild(own, Streams())
        return await super().clear(connection, keep, most)


async def test_a_sweep_spares_the_rows_of_a_rebuild_that_begins_meanwhile(
    database_url: str,
    admin: Admin,
    appender: Appender,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await publish(appender, tenant_id, 200, streams=200)
    await catch_up(database_url)
    # given: a rebuild is done, and its old rows are to be swept away
    first = ask(admin)
    hasty = Hasty(database_url, admin)
    async with rebuilding(database_url, hasty) as (rebuilder, connection):
        while await rebuilder.step(connection):
            pass
    # then
    assert state_of(admin, first).state == "switched"
    assert hasty.begun is not None
    assert state_of(admin, hasty.begun).state == "switched"
    assert generations(admin) == {3: 200}


async def test_a_rebuild_has_no_side_effects(
    database_url: str,
    admin: Admin,
    appender: Appender,
    application: Log,
    tenant_id: UUID,
    small_batches: None,
) -> None:
    await asyncio.to_thread(a_webhook, application, tenant_id)
    await publish(appender, tenant_id, 200)
    await catch_up(database_url)
    handoff = Runner(database_url, Handoff(lambda webhooks: None))
    assert await handoff.step()
    before = admin.execute(RECORDS).fetchall()
    assert len(before[0].owed) > 100
    rebuild_id = ask(admin)
    async with rebuilding(database_url) as (rebuilder, connection):
        while await rebuilder.step(connection):
            pass
    assert state_of(admin, rebuild_id).state == "switched"
    assert admin.execute(RECORDS).fetchall() == before
