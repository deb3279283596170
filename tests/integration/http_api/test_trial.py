"""Test deliveries: a worker is asked, and waited for as long as its receiver may take."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from domain import ids
from tests.integration.http_api.conftest import Account

ANSWER = {
    "number": 1,
    "trigger": "test",
    "started_at": "2026-11-20T08:00:01.000000Z",
    "duration_ms": 12.5,
    "status_code": 500,
    "error": "status",
    "detail": "500 Internal Server Error",
    "retry_after_seconds": None,
    "request": {"headers": {"daybook-test": "1"}, "body_bytes": 9, "body_sha256": "ab"},
    "response": {"headers": {}, "body_bytes": 0, "snippet": None},
}


class Worker(threading.Thread):
    """Takes one test as a worker does; answers it, or dies."""

    def __init__(self, account: Account, *, answers: bool = True) -> None:
        super().__init__()
        self.tenant = ids.decode("ten", account.tenant_id)
        self.answers = answers
        self.taken: Any = None
        self._account = account

    def run(self) -> None:
        with self._account.server.admin() as connection:
            deadline = time.monotonic() + 10
            while self.taken is None and time.monotonic() < deadline:
                self.taken = connection.execute(
                    "update test_requests set taken_at = now() where tenant_id = %s"
                    " returning request_id, type, data",
                    (self.tenant,),
                ).fetchone()
                time.sleep(0.01)
            if self.answers and self.taken:
                connection.execute(
                    "update test_requests set answer = %s where request_id = %s",
                    (Jsonb(ANSWER), self.taken[0]),
                )


@pytest.fixture
def worker(account: Account) -> Iterator[Worker]:
    """A worker that is there."""
    running = Worker(account)
    running.start()
    yield running
    running.join()


def requests_left(account: Account) -> int:
    with account.server.admin() as connection:
        row = connection.execute(
            "select count(*) from test_requests where tenant_id = %s",
            (ids.decode("ten", account.tenant_id),),
        ).fetchone()
    assert row
    return int(row[0])


def test_the_attempt_is_the_answer(account: Account, worker: Worker) -> None:
    webhook = account.webhook()
    path = f"/api/v1/webhooks/{webhook['id']}"
    account.client.post(f"{path}/disable")
    body = {"type": "a.b", "data": {"x": 1}}
    response = account.client.post(f"{path}/test", json=body)
    shown = response.json()
    assert response.status_code == 200
    assert shown == {**ANSWER, "id": shown["id"], "delivery_id": None}
    assert shown["id"].startswith("att_")
    assert worker.taken[1:] == ("a.b", b'{"x":1}')
    assert requests_left(account) == 0
    assert account.get("/api/v1/webhook-deliveries")["data"] == []


def test_without_a_body(account: Account, worker: Worker) -> None:
    webhook = account.webhook()
    response = account.client.post(f"/api/v1/webhooks/{webhook['id']}/test")
    assert response.status_code == 200
    assert worker.taken[1] == "daybook.test"


def test_the_types_example(account: Account, worker: Worker) -> None:
    webhook = account.webhook()
    example = {"example": {"minutes": 480}}
    account.client.put("/api/v1/webhook-events/a.b", json=example)
    path = f"/api/v1/webhooks/{webhook['id']}/test"
    assert account.client.post(path, json={"type": "a.b"}).status_code == 200
    assert worker.taken[1:] == ("a.b", b'{"minutes":480}')


def test_no_worker(account: Account) -> None:
    webhook = account.webhook(timeout_seconds=1)
    begun = time.monotonic()
    response = account.client.post(f"/api/v1/webhooks/{webhook['id']}/test")
    assert (response.status_code, response.json()) == (202, {"taken": False})
    assert 0.9 < time.monotonic() - begun < 3
    assert requests_left(account) == 0


def test_a_worker_that_dies(account: Account) -> None:
    webhook = account.webhook(timeout_seconds=1)
    worker = Worker(account, answers=False)
    worker.start()
    response = account.client.post(f"/api/v1/webhooks/{webhook['id']}/test")
    assert (response.status_code, response.json()) == (202, {"taken": True})
    worker.join()
