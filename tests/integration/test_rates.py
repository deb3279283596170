"""Rates over processes: exact request by request, and never too much by blocks."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from projections import rates
from projections.postgres import Link
from projections.rates import Quota, Rates
from tests.support import postgres
from workers import sweeping

PROCESSES = 8
ASKER = "tests.support.asking"


@pytest.fixture
async def link(database_url: str) -> AsyncIterator[Link]:
    made = Link(database_url, "daybook_edge", "rates")
    yield made
    await made.close()


def ask(url: str, how: str, size: int, each: int, *, idle: int = 0) -> list[int]:
    """How much each of eight processes was granted, all asking at once."""
    arguments = [sys.executable, "-m", ASKER, url, how, str(size)]
    running = [
        subprocess.Popen(
            [*arguments, str(1 if number < idle else each)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    for process in running:  # all are connected
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=60)[0]) for process in running]


def test_eight_processes_are_granted_exactly_the_quota(database_url: str) -> None:
    granted = ask(database_url, "take", 600, 200)
    assert sum(granted) == 600
    assert sum(1 for one in granted if one) > 1


def test_blocks_grant_never_more_and_hardly_less(database_url: str) -> None:
    # Three processes come once and keep what is left of their blocks.
    granted = ask(database_url, "draw", 20_000, 6_000, idle=3)
    assert 19_000 <= sum(granted) <= 20_000


async def test_a_quota_is_used_up_and_begins_again(link: Link) -> None:
    quota, here = Quota("k", 3, seconds=1), Rates(link)
    taken = [await here.take(quota) for _ in range(5)]
    assert [one.is_granted for one in taken] == [True] * 3 + [False] * 2
    assert [one.left for one in taken] == [2, 1, 0, 0, 0]
    assert all(0 < one.seconds_left <= 1 for one in taken)
    # Others have their own, and another process knows as much as this one.
    assert (await here.take(Quota("l", 3))).is_granted
    assert not (await Rates(link).take(quota)).is_granted
    async with asyncio.timeout(5):
        while not (again := await here.take(quota)).is_granted:
            await asyncio.sleep(again.seconds_left)
    assert again.left == 2


async def test_who_asks_together_is_served_in_order(link: Link) -> None:
    here = Rates(link)
    questions = [here.take(Quota("k", 4)) for _ in range(6)]
    taken = await asyncio.gather(*questions)
    assert [one.is_granted for one in taken] == [True] * 4 + [False] * 2
    assert [one.left for one in taken] == [3, 2, 1, 0, 0, 0]


async def test_another_quota_holds_for_the_next_request(link: Link) -> None:
    here = Rates(link)
    assert (await here.take(Quota("k", 1))).is_granted
    assert not (await here.take(Quota("k", 1))).is_granted
    # It is raised in the middle of the window, then lowered.
    assert (await here.take(Quota("k", 2))).is_granted
    # Asked together with two sizes, the last one holds.
    both = asyncio.gather(here.take(Quota("k", 9)), here.take(Quota("k", 3)))
    assert [one.is_granted for one in await both] == [True, False]


async def test_a_block_is_given_out_without_asking(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota, here = Quota("k", 4000), Rates(link)
    assert here.drawn(quota) is None
    first = await here.draw(quota)
    assert (first.is_granted, first.left) == (True, 3999)
    second = here.drawn(quota)
    assert second is not None
    assert second.left == 3998
    # A block is void when its window is over.
    monkeypatch.setattr(rates.time, "monotonic", lambda: 2.0**40)
    assert here.drawn(quota) is None


async def test_windows_that_are_over_are_swept(link: Link, database_url: str) -> None:
    for number in range(5):
        await Rates(link).take(Quota(str(number), 1))
    with postgres.connect(database_url) as admin:
        _age(admin, "where bucket <> '4'")
        worker = Link(database_url, "daybook_worker", "test")
        assert await sweeping.sweep(worker, 3) == 4
        await worker.close()
        assert admin.execute("select bucket from rate_windows").fetchall() == [("4",)]


def _age(admin: psycopg.Connection[Any], where: str) -> None:
    query = f"update rate_windows set ends_at = ends_at - interval '3 minutes' {where}"
    admin.execute(query.encode())
