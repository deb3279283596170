"""Logs and spans of a whole run, with everything in it that must not be in them."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.support.collecting import collecting
from tests.support.delivering import receiving, rows
from tests.support.processes import OPERATOR_KEY, Product, expect, product
from tests.support.waiting import soon

DATA = "payload-that-nobody-logs"
HEADER = "header-that-nobody-logs"
FORGED = "dbk_" + "1" * 60


async def test_no_secrets_and_no_bodies(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYBOOK_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("DAYBOOK_LOG_LEVEL", "debug")
    async with collecting() as (collected, endpoint):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        with product(database_url, tmp_path) as made:
            secrets = await everything(made, database_url)
            shown = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    # then lines are there, in files and on standard error, and spans at the collector
    files = [path.read_text() for path in (tmp_path / "logs").iterdir()]
    lines = [json.loads(line) for text in files for line in text.splitlines()]
    events = {line["event"] for line in lines}
    assert {"request", "request_failed", "settle_failed"} <= events
    assert all(line["logger"] and line["timestamp"] for line in lines)
    assert any(line.get("key") == secrets["key_id"] for line in lines)
    assert '"event":"settle_failed"' in shown["1-work.log"]
    assert {"POST /api/v1/events", "append", "group"} <= collected.spans["daybook-api"]
    assert "batch" in collected.spans["daybook-worker"]
    # and none of them has what is nobody's business
    hidden = [secrets["key"], secrets["secret"], OPERATOR_KEY, FORGED, DATA, HEADER]
    hidden.append(DATA.encode().hex())  # as the database shows bytes
    whole = "".join([*shown.values(), *files, collected.raw.decode("latin-1")])
    assert [text for text in hidden if text in whole] == []
    assert [word for word in ("Bearer", "whsec_", "v1,") if word in whole] == []


async def everything(made: Product, database_url: str) -> dict[str, str]:
    """A run with good requests, bad ones, defects and retries; its secrets."""
    api, work = made.serve(), made.work()
    async with receiving() as (receiver, url):
        receiver.answers.extend([500, 302, 204])
        secrets = use(made, url)
        await soon(lambda: len(receiver.arrivals) >= 2, 30)
        await break_settling(database_url)
        with made.client(secrets["key"]) as client:
            publish(client)
        await soon(lambda: len(receiver.arrivals) >= 4, 30)
        await break_tests(database_url)
        with made.client(secrets["key"]) as client:
            test = {"type": "a.b", "data": {"text": DATA}}
            path = f"/api/v1/webhooks/{secrets['webhook_id']}/test"
            expect(client.post(path, json=test), 500)
    # In threads: while they end, they send their spans to a server of this loop.
    assert await asyncio.to_thread(api.stop) == 0
    assert await asyncio.to_thread(work.stop) == 0
    return secrets


def use(made: Product, url: str) -> dict[str, str]:
    """Requests of every kind; the secrets that were handed out."""
    _, key = made.tenant()
    with made.client(key) as client:
        client.headers["X-Secret"] = HEADER
        hook = {"url": url, "event_types": ["*"], "retry": "fast"}
        webhook = expect(client.post("/api/v1/webhooks", json=hook), 201)
        publish(client)
        bad = {"type": "a.b", "data": {"text": DATA}, DATA: 1}
        expect(client.post("/api/v1/events", json=bad), 422)
        client.post("/api/v1/events", content=f'{{"data": "{DATA}'.encode())
        forged = {"Authorization": f"Bearer {FORGED}"}
        expect(client.get("/api/v1/me", headers=forged), 401)
        key_id = expect(client.get("/api/v1/me"), 200)["key_id"]
    return {
        "key": key,
        "key_id": key_id,
        "secret": webhook["secret"],
        "webhook_id": webhook["id"],
    }


def publish(client: httpx.Client) -> None:
    event = {"type": "a.b", "data": {"text": DATA}, "metadata": {"text": DATA}}
    expect(client.post("/api/v1/events", json=event), 202)


async def break_settling(database_url: str) -> None:
    """Whatever is settled from now on is refused, and the refusal quotes the row."""
    await rows(
        database_url,
        "alter table daybook.attempts add constraint broken"
        " check (outcome = 'late') not valid",
    )


async def break_tests(database_url: str) -> None:
    """The same for test deliveries, which are asked for in a request."""
    await rows(
        database_url,
        "alter table daybook.test_requests add constraint broken"
        " check (type = '') not valid",
    )
