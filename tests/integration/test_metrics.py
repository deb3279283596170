"""`/metrics` of a worker: what it counted, what is owed, and nothing that is not known."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from domain.application import Log
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.support.builders import a_tenant, a_webhook, an_entry
from tests.support.delivering import receiving, rows, working
from tests.support.waiting import soon
from workers.metrics import Metrics


@pytest.fixture
async def metrics(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A worker's figures, read by HTTP."""
    opened = Metrics(database_url)
    port = await opened.open("127.0.0.1", 0)
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield client
    await opened.close()


async def figures(metrics: httpx.AsyncClient) -> dict[str, float]:
    text = (await metrics.get("/metrics")).text
    return {
        name: float(value)
        for name, value in re.findall(r"^(daybook_[^ ]+) (\S+)$", text, re.MULTILINE)
    }


async def test_what_a_worker_counts(
    database_url: str,
    application: Log,
    appender: Appender,
    metrics: httpx.AsyncClient,
) -> None:
    # given
    before = await figures(metrics)
    tenant_id = await asyncio.to_thread(a_tenant, application)
    async with receiving() as (receiver, url):
        receiver.answers.extend([500, 204, 204])
        webhook = {"url": url, "retry": "durable"}
        await asyncio.to_thread(a_webhook, application, tenant_id, **webhook)
        await appender.append(Request([an_entry(tenant_id) for _ in range(3)]))
        behind = await figures(metrics)
        # when
        async with working(database_url):
            await soon(lambda: len(receiver.arrivals) == 3)
            waiting = 'daybook_owed_deliveries{waits_for="retry"}'

            async def one_waits() -> bool:
                return (await figures(metrics))[waiting] == 1

            await soon(one_waits)
            after = await figures(metrics)

    # then
    def grown(name: str) -> float:
        return after[name] - before[name]

    assert grown('daybook_attempts_total{outcome="succeeded"}') == 2
    assert grown('daybook_attempts_total{outcome="failed"}') == 1
    assert grown("daybook_appended_events_total") == 5
    assert grown("daybook_append_group_entries_sum") == 5
    assert behind['daybook_projection_lag_events{projection="deliveries"}'] == 5
    assert after['daybook_projection_lag_events{projection="deliveries"}'] == 0
    assert after['daybook_owed_deliveries{waits_for="attempt"}'] == 0


async def test_why_a_projection_stands(
    database_url: str, metrics: httpx.AsyncClient
) -> None:
    await rows(database_url, "update daybook.checkpoints set paused_by = 'operator'")
    found = await figures(metrics)
    label = (
        'daybook_projection_state{{daybook_projection_state="{}",projection="streams"}}'
    )
    states = ("running", "paused", "stopped", "needs_newer_code")
    assert [found[label.format(state)] for state in states] == [0, 1, 0, 0]


async def test_old_figures_are_not_shown(
    database_url: str, metrics: httpx.AsyncClient
) -> None:
    """While the database is away nobody knows how far projections are."""
    assert any("lag" in name for name in await figures(metrics))
    name = database_url.rpartition("/")[2]
    try:
        await _allow(database_url, name, "false")
        found = await figures(metrics)
    finally:
        await _allow(database_url, name, "true")
    assert not any("lag" in name or "owed" in name for name in found)
    assert "daybook_appended_events_total" in found
    assert any("lag" in name for name in await figures(metrics))


async def _allow(database_url: str, name: str, allowed: str) -> None:
    server = database_url.rpartition("/")[0] + "/postgres"
    await rows(server, f"alter database {name} allow_connections {allowed}")
    await rows(
        server,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
        name,
    )
