"""Logs of a whole run, with everything in it that must not be in them."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.delivering import receiving, rows
from tests.support.processes import OPERATOR_KEY, Product, expect, product
from tests.support.waiting import soon

DATA = "payload-that-nobody-logs"
HEADER = "header-that-nobody-logs"
FORGED = "dbk_" + "1" * 60


def env(folder: Path) -> dict[str, str]:
    return {"DAYBOOK_LOG_DIR": str(folder), "DAYBOOK_LOG_LEVEL": "debug"}


async def test_no_secrets_and_no_bodies(
    database_url: str, tmp_path: Path, monkeypatch: Any
) -> None:
    for name, value in env(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)
    with product(database_url, tmp_path) as made:
        # given a run with good requests, bad ones, defects and retries
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
        # when all is stopped
        assert (api.stop(), work.stop()) == (0, 0)
        texts = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
        files = {p.name: p.read_text() for p in (tmp_path / "logs").iterdir()}
    # then the lines are there, in files and on standard error
    lines = [json.loads(line) for text in files.values() for line in text.splitlines()]
    events = {line["event"] for line in lines}
    assert {"request", "request_failed", "settle_failed"} <= events
    assert all(line["logger"] and line["timestamp"] for line in lines)
    assert any(line.get("key") == secrets["key_id"] for line in lines)
    assert '"event":"settle_failed"' in texts["1-work.log"]
    # and none of them has what is nobody's business
    hidden = [secrets["key"], secrets["secret"], OPERATOR_KEY, FORGED, DATA, HEADER]
    hidden.append(DATA.encode().hex())  # as the database shows bytes
    whole = "".join([*texts.values(), *files.values()])
    assert [text for text in hidden if text in whole] == []
    assert [word for word in ("Bearer", "whsec_", "v1,") if word in whole] == []


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
