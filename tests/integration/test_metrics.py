"""`/metrics` of a worker: what it counted, what is owed, and nothing that is not known."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from domain.application import Log
from projections import figures as figures_of_database
from projections import telemetry
from projections.log.appender import Appender
from projections.log.request_queue import BYTES, REQUESTS, Request, RequestQueue
from projections.postgres import Database, Link
from tests.support.builders import a_tenant, a_webhook, an_entry
from tests.support.delivering import receiving, rows, working
from tests.support.waiting import soon
from workers.metrics import Metrics

READY = threading.Event()
OUTCOMES = ("succeeded", "failed")
ATTEMPTS = [f'daybook_attempts_total{{outcome="{outcome}"}}' for outcome in OUTCOMES]
RETRIES = 'daybook_owed_deliveries{waits_for="retry"}'


@pytest.fixture
async def metrics(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A worker's figures, read by HTTP."""
    opened = Metrics(database_url, is_ready=READY.is_set)
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
    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

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
            after: dict[str, float] = {}

            async def all_is_counted() -> bool:
                after.update(await figures(metrics))
                attempts = sum(map(grown, ATTEMPTS))
                return attempts == 3 and after[RETRIES] == 1

            await soon(all_is_counted)

    # then
    assert list(map(grown, ATTEMPTS)) == [2, 1]
    assert grown("daybook_attempt_seconds_count") == 3
    assert grown('daybook_finished_deliveries_total{state="succeeded"}') == 2
    assert grown("daybook_appended_events_total") == 5
    assert grown("daybook_append_group_entries_sum") == 5
    assert grown("daybook_append_call_seconds_count") >= 3
    assert grown("daybook_append_wait_seconds_count") >= 3
    assert grown("daybook_handed_off_deliveries_total") == 3
    applied = '{projection="deliveries"}'
    assert grown(f"daybook_projection_events_total{applied}") == 5
    assert grown(f"daybook_projection_batch_seconds_count{applied}") >= 1
    assert after["daybook_workers"] == 1
    assert after["daybook_unowned_webhooks"] == 0
    assert after["daybook_lanes_owned"] == 1
    assert after["daybook_open_circuits"] == 0
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


async def test_a_backlog_is_counted_so_far_and_no_further(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows there are, /metrics looks at so many."""
    monkeypatch.setattr(figures_of_database, "MOST_COUNTED", 5)
    await rows(
        database_url,
        "insert into daybook.owed (tenant_id, webhook_id, position, recorded_at,"
        " webhook_version, next_attempt_at)"
        " select gen_random_uuid(), gen_random_uuid(), n, now(), 1,"
        "     case when n > 4 then now() - interval '1 minute' end"
        " from generate_series(1, 12) n",
    )
    link = Link(database_url, "daybook_worker", "test")
    found = await figures_of_database.owed(await link.connection())
    await link.close()
    assert found == (5, 5)


async def test_pools_and_who_waits(database_url: str) -> None:
    database = Database(database_url, "daybook_app", "test of pools", size=1)
    used = 'daybook_pool_connections{pool="test of pools",state="used"}'
    await database.open()
    try:
        async with database.connection():
            shown = telemetry.text().decode()
            assert f"{used} 1.0" in shown
            assert 'daybook_pool_waiting{pool="test of pools"} 0.0' in shown
        assert f"{used} 0.0" in telemetry.text().decode()
    finally:
        await database.close()


async def test_a_queue_is_shown_while_it_waits() -> None:
    before = waiting()
    queue, request = RequestQueue(), Request([an_entry(uuid4())])
    queue.put(request)
    requests, size = waiting()
    assert (requests - before[0], size - before[1]) == (1, request.size)
    queue.take()
    assert waiting() == before


def waiting() -> tuple[float, float]:
    found = {
        sample.name: sample.value
        for family in (*REQUESTS.collect(), *BYTES.collect())
        for sample in family.samples
    }
    return (
        found.get("daybook_append_waiting_requests", 0.0),
        found.get("daybook_append_waiting_bytes", 0.0),
    )


async def test_a_worker_says_whether_it_may_send(metrics: httpx.AsyncClient) -> None:
    assert (await metrics.get("/health/live")).json() == {"status": "live"}
    for status, is_ready in ((503, False), (200, True)):
        READY.set() if is_ready else READY.clear()
        response = await metrics.get("/health/ready")
        shown = "ready" if is_ready else "unready"
        assert (response.status_code, response.json()) == (status, {"status": shown})
