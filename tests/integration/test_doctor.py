"""The doctor: every line of a database that is well, and of one that is not."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import clock
from projections import postgres
from projections.postgres import Database
from tests.support.delivering import rows, working
from tests.support.waiting import soon
from workers import doctor


async def findings(url: str) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in await doctor.examine(url)}


async def test_all_is_well(database_url: str) -> None:
    async with working(database_url):
        await soon(lambda: _is_at_work(database_url))
        found = await findings(database_url)
    assert [each for each in found.values() if not each.is_well] == []
    assert list(found) == [
        "schema",
        "safety",
        *(f"projection {name}" for name in ("deliveries", "streams")),
        "workers",
        "deliveries",
        "server log",
        "clock",
        "log",
        "connections",
    ]
    assert "fsync" in found["safety"].detail
    assert "0 events" in found["log"].detail


async def _is_at_work(url: str) -> bool:
    found = await rows(url, "select owner from daybook.owners")
    return len(found) == 1


async def test_connections_of_all_processes_are_added_up(database_url: str) -> None:
    pools = [
        Database(database_url, role, "in a test", size=1)
        for role in ("daybook_app", "daybook_operator")
    ]
    for pool in pools:
        await pool.open()
    try:
        for pool in pools:
            async with pool.connection():
                pass
        detail = (await findings(database_url))["connections"].detail
    finally:
        for pool in pools:
            await pool.close()
    assert "2 of them Daybook's (2 in a test)" in detail


async def test_a_clock_that_is_wrong(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await postgres.connect(database_url, "daybook_app", "t") as connection:
        row = await postgres.one(connection, "select clock_timestamp() as now")
    assert abs(row.now - datetime.now(UTC)) < timedelta(seconds=5)
    late = timedelta(minutes=3)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) - late)
    found = (await findings(database_url))["clock"]
    assert not found.is_well
    assert found.detail.startswith("180.0")
    assert "NTP" in found.detail


async def test_a_database_that_does_not_answer() -> None:
    found = await findings("postgresql://u:pa55@127.0.0.1:1/none")
    assert list(found) == ["database"]
    assert "pa55" not in found["database"].detail
