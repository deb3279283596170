"""The runner: exactly once under competing processes; what becomes of events that fail."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projections import poison
from projections.log.appender import Appender
from projections.log.request_queue import Request
from projections.postgres import Connection
from projections.projection import Batch
from projections.runner import Runner
from tests.support import counting
from tests.support.builders import an_entry
from tests.support.counting import Counting
from tests.support.waiting import eventually, soon

Admin = psycopg.Connection[Any]
ROOT = Path(__file__).parents[2]
COUNT = (sys.executable, "-m", "tests.support.counting")


@pytest.fixture
def admin(database_url: str) -> Iterator[Admin]:
    """A connection that sees everything; the test's projection has its table."""
    with counting.admin(database_url) as connection:
        connection.execute(counting.TABLE)
        yield connection


@asynccontextmanager
async def running(url: str, *projections: Counting) -> AsyncIterator[None]:
    """Each in a runner of its own, in this process."""
    tasks = [asyncio.create_task(counting.run(url, each)) for each in projections]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def publish(appender: Appender, tenant_id: UUID, *events: str) -> None:
    """Events in this order, each as `stream type`."""
    split = [event.split() for event in events]
    entries = [an_entry(tenant_id, stream=stream, type=kind) for stream, kind in split]
    for start in range(0, len(entries), 500):
        await appender.append(Request(entries[start : start + 500]))


def counted(admin: Admin) -> list[int]:
    rows = admin.execute("select log_position from counted order by n").fetchall()
    return [row.log_position for row in rows]


def errors(admin: Admin) -> list[tuple[int, str]]:
    rows = admin.execute(
        "select log_position, state from projection_errors order by log_position"
    ).fetchall()
    return [(row.log_position, row.state) for row in rows]


def checkpoint(admin: Admin) -> Any:
    [row] = admin.execute(
        "select * from checkpoints where name = 'counting'"
    ).fetchall()
    return row


# ---- competing processes -----------------------------------------------------------------


class Crew:
    """Processes that run the same projection."""

    def __init__(self, url: str, admin: Admin) -> None:
        self._url, self._admin = url, admin
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """One more."""
        process = subprocess.Popen(
            [*COUNT, self._url, "--size", "25", "--delay", "0.05"], cwd=ROOT
        )
        self.processes[process.pid] = process

    def strike(self, number: signal.Signals) -> tuple[int, float]:
        """Send the signal to whoever applies a batch; seconds until another does.

        A signal that came when the batch was as good as committed is taken back.
        """
        while True:
            struck = eventually(lambda: counting.at_work(self._admin), 30)
            self.processes[struck].send_signal(number)
            began = time.monotonic()
            self._wait_for_another(struck)
            seconds = time.monotonic() - began
            if number == signal.SIGKILL or seconds > 1:
                return struck, seconds
            self.processes[struck].send_signal(signal.SIGCONT)

    def _wait_for_another(self, struck: int) -> None:
        eventually(lambda: counting.at_work(self._admin) not in (None, struck), 60)

    def end(self) -> None:
        """All of them."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def crew(database_url: str, admin: Admin) -> Iterator[Crew]:
    made = Crew(database_url, admin)
    yield made
    made.end()


@pytest.mark.timeout(180)
async def test_four_processes_apply_each_event_once_though_the_active_ones_are_lost(
    admin: Admin,
    crew: Crew,
    appender: Appender,
    tenant_id: UUID,
    record_property: Any,
) -> None:
    # given: four processes and more than they do in ten seconds
    await publish(appender, tenant_id, *(f"s/{n % 9} a.b" for n in range(4000)))
    for _ in range(4):
        crew.start()
    # when: two are killed and one is stopped, each in the middle of a batch
    killed = []
    for _ in range(2):
        victim, seconds = await asyncio.to_thread(crew.strike, signal.SIGKILL)
        crew.processes.pop(victim).wait()
        crew.start()
        killed.append(seconds)
    stopped, hung = await asyncio.to_thread(crew.strike, signal.SIGSTOP)
    # then: another goes on soon
    record_property("failover_killed_seconds", round(max(killed), 2))
    record_property("failover_hung_seconds", round(hung, 2))
    print(f"failover: killed {max(killed):.2f} s, hung {hung:.2f} s")
    assert max(killed) < 5
    assert hung < 12
    # and: the stopped one, on waking, finds its transaction gone and does no harm
    os.kill(stopped, signal.SIGCONT)
    await soon(lambda: checkpoint(admin).log_position == 4000, 60)
    assert counting.judge(admin) == 4000
    assert errors(admin) == []
    assert checkpoint(admin).error is None


class CutOff(Counting):
    """Its first batch stands still until the server has ended the transaction."""

    def __init__(self, admin: Admin, **given: Any) -> None:
        super().__init__(**given)
        self._admin = admin

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Stand still, once."""
        is_first = not self.batches
        await super().apply(connection, batch)
        if is_first:
            await connection.execute(
                "set local idle_in_transaction_session_timeout = '100ms'"
            )
            # Looked at from outside: a process that is stopped hears nothing.
            backend = [connection.info.backend_pid]
            await soon(lambda: not self._admin.execute(BACKEND, backend).fetchall())


BACKEND = "select from pg_stat_activity where pid = %s"


async def test_a_process_that_was_cut_off_blames_no_event(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(appender, tenant_id, "s/1 a.b", "s/1 a.c")
    projection = CutOff(admin, policy="park", size=1)
    async with running(database_url, projection):
        await soon(lambda: projection.through == 2)
    assert len(projection.batches) == 3
    assert counted(admin) == [1, 2]
    assert errors(admin) == []


async def test_what_another_process_has_applied_is_not_set_aside(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    # given: an event that failed here, and meanwhile was applied elsewhere
    await publish(appender, tenant_id, "s/1 a.b")
    runner = Runner(database_url, Counting(policy="park"))
    assert await runner.step()
    # when
    await runner._write_down(ValueError("it failed"), Batch(0, 1))
    # then
    assert errors(admin) == []
    assert checkpoint(admin).error is None


async def test_a_lost_listen_costs_only_latency(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    projection = Counting()
    listeners = (
        "select pid from pg_stat_activity where datname = current_database()"
        " and application_name = 'daybook listener'"
    )
    async with running(database_url, projection):
        [lost] = await soon(lambda: admin.execute(listeners).fetchall())
        admin.execute("select pg_terminate_backend(%s, 5000)", [lost.pid])
        began = time.monotonic()
        await publish(appender, tenant_id, "s/1 a.b")
        await soon(lambda: projection.through == 1)
        assert time.monotonic() - began < 3
        [found] = await soon(lambda: admin.execute(listeners).fetchall())
        assert found.pid != lost.pid
        await publish(appender, tenant_id, "s/1 a.b")
        await soon(lambda: projection.through == 2)


async def test_a_paused_projection_stands_still(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    admin.execute("update checkpoints set paused_by = 'operator'")
    await publish(appender, tenant_id, "s/1 a.b")
    assert not await Runner(database_url, Counting()).step()
    admin.execute("update checkpoints set paused_by = null")
    assert await Runner(database_url, Counting()).step()
    assert counted(admin) == [1]


async def test_a_projection_without_a_checkpoint_says_so(
    database_url: str, admin: Admin
) -> None:
    admin.execute("delete from checkpoints where name = 'counting'")
    with pytest.raises(LookupError, match="no checkpoint named 'counting'"):
        await Runner(database_url, Counting()).step()


async def test_what_the_database_cannot_hold_of_an_error_is_left_out() -> None:
    assert poison.text(ValueError("a\0b\ud800c")) == "ValueError: ab?c"
    assert len(poison.text(ValueError("x" * 5000))) == poison.LONGEST


# ---- events that fail --------------------------------------------------------------------


async def test_halving_finds_the_one_bad_event_of_500(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    events = [f"s/{n % 7} a.b" for n in range(500)]
    events[316] = "s/1 a.bad"
    await publish(appender, tenant_id, *events)
    projection = Counting(policy="skip", bad=["a.bad"])
    async with running(database_url, projection):
        await soon(lambda: projection.through == 500)
    assert counted(admin) == [n for n in range(1, 501) if n != 317]
    assert errors(admin) == [(317, "skipped")]
    assert len(projection.batches) < 40


async def test_pause_stands_before_the_event_until_it_passes(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(appender, tenant_id, "s/1 a.b", "s/2 a.bad", "s/3 a.b")
    projection = Counting(policy="pause", bad=["a.bad"])
    async with running(database_url, projection):
        await soon(lambda: errors(admin))
        # then
        assert (counted(admin), errors(admin)) == ([1], [(2, "stopped")])
        stands = checkpoint(admin)
        assert (stands.log_position, stands.failed_position) == (1, 2)
        assert stands.error.startswith("ValueError: bad")
        # when: the cause is gone
        projection.bad.clear()
        await soon(lambda: projection.through == 3)
    assert (counted(admin), errors(admin)) == ([1, 2, 3], [])
    assert checkpoint(admin).error is None


async def test_pause_ends_when_an_operator_skips_the_event(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(appender, tenant_id, "s/1 a.b", "s/2 a.bad", "s/2 a.b")
    projection = Counting(policy="pause", bad=["a.bad"])
    async with running(database_url, projection):
        await soon(lambda: errors(admin))
        admin.execute(
            "update projection_errors set state = 'skipped', decided_by = 'operator'"
        )
        await soon(lambda: projection.through == 3)
    assert (counted(admin), errors(admin)) == ([1, 3], [(2, "skipped")])


async def test_park_lets_its_stream_queue_and_all_others_go_on(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(
        appender, tenant_id, "s/1 a.b", "s/1 a.bad", "s/2 a.b", "s/1 a.b", "s/2 a.b"
    )
    projection = Counting(policy="park", bad=["a.bad"])
    async with running(database_url, projection):
        await soon(lambda: projection.through == 5)
        await publish(appender, tenant_id, "s/1 a.b", "s/3 a.b")
        await soon(lambda: projection.through == 7)
    assert counted(admin) == [1, 3, 5, 7]
    assert errors(admin) == [(2, "parked"), (4, "parked"), (6, "parked")]
    [first, second, _] = admin.execute(
        "select error, tenant_id from projection_errors order by log_position"
    ).fetchall()
    assert first.error.startswith("ValueError: bad")
    assert first.tenant_id == tenant_id
    assert second.error == "it waits behind an earlier event of its stream"


RETRY = """
    update projection_errors set retry = true where log_position = (
        select min(log_position) from projection_errors where stream = 's/1')
"""


async def test_a_parked_stream_that_is_tried_again_is_applied_in_order(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    events = ["s/1 a.bad", "s/2 a.bad", "s/1 a.b", "s/1 a.bad", "s/2 a.b", "s/1 a.b"]
    await publish(appender, tenant_id, *events)
    projection = Counting(policy="park", bad=["a.bad"])
    async with running(database_url, projection):
        await soon(lambda: projection.through == 6)
        # when: it is asked for too soon
        admin.execute(RETRY)
        await soon(lambda: not admin.execute(ASKED).fetchall())
        # then: nothing has changed
        assert counted(admin) == []
        assert len(errors(admin)) == 6
        # when: it is asked for again
        projection.bad.clear()
        admin.execute(RETRY)
        await soon(lambda: len(errors(admin)) == 2)
        # then: this stream is done, in order, and goes on; the other waits
        await publish(appender, tenant_id, "s/1 a.b", "s/2 a.b")
        await soon(lambda: projection.through == 8)
    assert counted(admin) == [1, 3, 4, 6, 7]
    assert errors(admin) == [(2, "parked"), (5, "parked"), (8, "parked")]


ASKED = "select from projection_errors where retry"


async def test_a_stream_that_fails_again_takes_no_other_streams_turn(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(appender, tenant_id, "s/1 a.bad", "s/2 a.worse", "s/1 a.b", "s/2 a.b")
    projection = Counting(policy="park", bad=["a.bad", "a.worse"])
    async with running(database_url, projection):
        await soon(lambda: projection.through == 4)
        # when: both are asked for, and one of them can be applied by now
        projection.bad.remove("a.worse")
        admin.execute("update projection_errors set retry = true")
        await soon(lambda: len(errors(admin)) == 2)
    assert counted(admin) == [2, 4]
    assert errors(admin) == [(1, "parked"), (3, "parked")]
    assert not admin.execute(ASKED).fetchall()


class TooLarge(Counting):
    """What it makes of a bad event does not fit into the database."""

    def _look_at(self, rows: Any) -> None:
        if any(row.type in self.bad for row in rows):
            raise psycopg.errors.ProgramLimitExceeded("index row size is too large")


async def test_what_is_too_large_for_the_database_is_poison_too(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    """The driver files it with a database that is away; it would be tried for ever."""
    await publish(appender, tenant_id, "s/1 a.b", "s/1 a.bad", "s/1 a.b")
    projection = TooLarge(policy="skip", bad=["a.bad"])
    async with running(database_url, projection):
        await soon(lambda: projection.through == 3)
    assert errors(admin) == [(2, "skipped")]


async def test_newer_code_is_waited_for_and_nothing_is_poisoned(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    await publish(appender, tenant_id, "s/1 a.b", "s/1 a.new", "s/1 a.b")
    old, new = Counting(policy="skip", newer=["a.new"]), Counting(policy="skip")
    async with running(database_url, old):
        await soon(lambda: checkpoint(admin).needs)
        assert checkpoint(admin).needs == "a.new at 2"
        assert (counted(admin), errors(admin)) == ([1], [])
        # when: a newer worker comes
        async with running(database_url, new):
            await soon(lambda: new.through == 3)
    assert (counted(admin), errors(admin)) == ([1, 2, 3], [])
    assert checkpoint(admin).needs is None


async def test_rows_of_a_newer_version_are_left_to_newer_code(
    database_url: str, admin: Admin, appender: Appender, tenant_id: UUID
) -> None:
    admin.execute("update checkpoints set version = 2 where name = 'counting'")
    await publish(appender, tenant_id, "s/1 a.b", "s/1 a.b")
    old, new = Counting(version=1), Counting(version=2)
    async with running(database_url, old):
        await soon(lambda: checkpoint(admin).needs)
        assert checkpoint(admin).needs == "its rows are of version 2"
        async with running(database_url, new):
            await soon(lambda: new.through == 2)
    assert (counted(admin), errors(admin)) == ([1, 2], [])
    assert checkpoint(admin).needs is None
