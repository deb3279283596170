"""Forgetting: what a tenant keeps no longer goes from the disk, and nothing else does."""

import asyncio
from typing import Any

import pytest

from domain import ids
from projections.postgres import Database, Link
from projections.webhooks import past as replayed
from projections.webhooks.past import Choice, Search
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_deliveries import ATTEMPT, HandOff, Worker
from workers.webhooks import forgetting

PATH = "/api/v1/webhook-deliveries"
# So many days ago; the partitions of those months are not there any more.
AGED = """
    with e as (
        update events set recorded_at = now() - interval '100 days'
        where tenant_id = %(tenant)s and position <= %(through)s returning 1),
    a as (
        update attempts set recorded_at = now() - interval '100 days'
        where tenant_id = %(tenant)s and position <= %(through)s returning 1)
    update results set recorded_at = now() - interval '100 days',
        finished_at = now() - interval '99 days'
    where tenant_id = %(tenant)s and position <= %(through)s"""
FIGURES = """
    insert into delivery_figures (tenant_id, webhook_id, hour, bin, succeeded)
    select %(tenant)s, %(webhook)s, date_trunc('hour', now() - n * interval '1 day'), 0, 1
    from generate_series(80, 99) n where n <> 90"""
LATE = """
    update results set finished_at = now()
    where tenant_id = %(tenant)s and position = %(late)s"""
LEFT = "select {column} from {table} where tenant_id = %s order by {column}"
OLD_MONTH = """
    set role daybook_owner;
    create table {table}_2020_{month} partition of {table}
        for values from ('2020-{month}-01T00:00Z') to ('2020-{month}-28T00:00Z')"""


class Past:
    """A webhook and six finished deliveries, four of them of a hundred days ago."""

    def __init__(self, account: Account, hand_off: HandOff) -> None:
        self.account = account
        self.webhook = account.webhook()
        self.positions = [account.publish()["position"] for _ in range(6)]
        hand_off()
        self.worker = Worker(account, self.webhook)
        for position in self.positions:
            self.worker.run(
                ATTEMPT, position=position, number=1, at="2026-01-01T00:00Z"
            )
        self.worker.finish(self.positions, "succeeded", 200, "")
        self.worker.run(AGED, through=self.positions[3])

    def left(self, table: str, column: str = "position") -> list[Any]:
        """Which rows there are."""
        with self.account.server.admin() as admin:
            tenant = ids.decode("ten", self.account.tenant_id)
            query = LEFT.format(table=table, column=column)
            return [row[0] for row in admin.execute(query, [tenant]).fetchall()]

    def listed(self) -> list[int]:
        """Of which events deliveries are listed."""
        return [one["position"] for one in self.account.get(PATH)["data"]][::-1]


@pytest.fixture
def past(account: Account, hand_off: HandOff) -> Past:
    return Past(account, hand_off)


def forget(account: Account, step: int, times: int = 1) -> list[int]:
    """As workers do, so many of them side by side."""

    async def all_of_them() -> list[int]:
        links = [
            Link(account.server.database_url, "daybook_worker", "test")
            for _ in range(times)
        ]
        try:
            return await asyncio.gather(
                *(forgetting.forget(link, step) for link in links)
            )
        finally:
            for link in links:
                await link.close()

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(("step", "workers"), [(1, 1), (3, 2), (1000, 1)])
def test_what_is_old_goes_with_its_attempts(
    past: Past, step: int, workers: int
) -> None:
    first, late, *_ = past.positions
    past.worker.run(LATE, late=late)
    before, kept = past.listed(), [late, *past.positions[4:]]
    assert before == kept
    assert sum(forget(past.account, step, workers)) >= 3
    assert past.left("results") == past.left("attempts") == kept
    assert past.listed() == before
    assert forget(past.account, step) == [0]
    event = past.account.get("/api/v1/events", after=first - 1)["data"][0]
    assert past.account.get(f"/api/v1/events/{event['id']}")["deliveries"] == []


def test_a_tenant_keeps_it_for_as_long_as_it_wants(
    past: Past, other: Account, hand_off: HandOff
) -> None:
    anothers = Past(other, hand_off)
    past.worker.run(
        "update tenants set retention_days = 101 where tenant_id = %(tenant)s"
    )
    forget(past.account, 1000)
    assert past.left("results") == past.left("attempts") == past.positions
    assert anothers.left("results") == anothers.positions[4:]


def test_who_keeps_it_for_longer_by_now_loses_no_more(past: Past) -> None:
    async def forget_then_keep() -> int:
        link = Link(past.account.server.database_url, "daybook_worker", "test")
        tenant_id = ids.decode("ten", past.account.tenant_id)
        found = await link.rows(forgetting.QUERIES["outdated"])
        [tenant] = [each for each in found if each.tenant_id == tenant_id]
        past.worker.run(
            "update tenants set retention_days = 101 where tenant_id = %(tenant)s"
        )
        gone = await forgetting._deliveries(link, tenant, 1)
        await link.close()
        return gone

    assert asyncio.run(forget_then_keep()) == 0
    assert past.left("results") == past.positions


def test_statistics_do_not_change_by_it(past: Past) -> None:
    path = f"/api/v1/webhooks/{past.webhook['id']}/stats"

    def counts() -> Any:
        return past.account.get(path)["counts"]

    before = counts()
    assert before["succeeded"] == 6  # counted when they were written
    forget(past.account, 1000)
    assert counts() == before


async def _only_failed(past: Past) -> tuple[int | None, list[int]]:
    """How many a replay of what failed would owe, and which ones a worker finds."""
    tenant_id = ids.decode("ten", past.account.tenant_id)
    choice = Choice(
        tenant_id, ids.decode("wh", past.webhook["id"]), ["*"], ["*"], None, True
    )
    database = Database(past.account.server.database_url, "daybook_worker", "test")
    await database.open()
    last = past.positions[-1]
    async with database.tenant(tenant_id) as connection:
        piece = await Search(choice).piece(connection, 0, last)
    count = await replayed.count(database, choice, 0, last)
    await database.close()
    return count, piece.positions


def test_what_succeeded_long_ago_is_not_replayed_as_failed(past: Past) -> None:
    assert asyncio.run(_only_failed(past)) == (0, [])
    forget(past.account, 1000)
    assert asyncio.run(_only_failed(past)) == (0, [])


def test_figures_of_old_hours_go(past: Past) -> None:
    past.worker.run(FIGURES)
    forget(past.account, 4)
    assert len(past.left("delivery_figures", "hour")) == 10  # of 80 to 89 days ago


def test_an_old_month_goes_when_nothing_is_left_of_it(account: Account) -> None:
    with account.server.admin() as admin:
        for table, month in (("results", "01"), ("attempts", "01"), ("attempts", "02")):
            admin.execute(OLD_MONTH.format(table=table, month=month))
        admin.execute("reset role")
        admin.execute(
            "insert into attempts (tenant_id, position, webhook_id, replay, number,"
            " recorded_at, trigger, outcome, started_at, webhook_version) values"
            " (%(id)s, 1, %(id)s, 0, 1, '2020-02-02T00:00Z', 'schedule', 'failed',"
            " now(), 1)",
            {"id": ids.new()},
        )
    forget(account, 1000)
    with account.server.admin() as admin:
        query = "select relname from pg_class where relname ~ '_2020_0.$'"
        assert admin.execute(query).fetchall() == [("attempts_2020_02",)]
