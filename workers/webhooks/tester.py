"""Test deliveries: somebody waits at the API, a worker sends, the answer goes back.

Only workers send. A test is not in the log and in no figure: header `daybook-test: 1`.
"""

import asyncio
import hashlib
from typing import Any

import structlog
from psycopg.types.json import Jsonb

from domain import clock, ids
from domain.webhooks import body, retry
from projections import postgres, waiting
from projections.postgres import Link
from projections.vault import Sealed, Vault, webhook_place
from projections.webhooks.testing import QUERIES
from workers.webhooks import message, verdict
from workers.webhooks.sender import Answer, Outgoing, Sender

POLL_SECONDS = 1.0

log = structlog.get_logger("daybook.tests")


class Tester:
    """Takes test requests, each in a task of its own."""

    def __init__(self, link: Link, sender: Sender, vault: Vault) -> None:
        self._link = link
        self._sender = sender
        self._vault = vault
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be a test to send."""
        self._wake.set()

    async def run(self) -> None:
        """Take tests until cancelled."""
        while True:
            try:
                await self._take()
            except postgres.AWAY:
                await asyncio.sleep(0.5)
            else:
                await waiting.wake_up(self._wake, POLL_SECONDS)

    async def close(self) -> None:
        """Drop what is in flight."""
        for task in self._tasks:
            task.cancel()

    async def _take(self) -> None:
        while rows := await self._link.rows(QUERIES["take_test"]):
            task = asyncio.create_task(self._answer(rows[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await self._link.rows(QUERIES["forget_tests"])

    async def _answer(self, test: Any) -> None:
        request = _compose(test, self._vault)
        started = clock.now()
        answer = await self._sender.send(request)
        params = {
            "tenant_id": test.tenant_id,
            "request_id": test.request_id,
            "answer": Jsonb(_attempt(clock.rfc3339(started), request, answer)),
        }
        try:
            await self._link.rows(QUERIES["answer_test"], params)
        except postgres.AWAY:
            log.warning("test_answer_lost")


def _compose(test: Any, vault: Vault) -> Outgoing:
    message_id = ids.fresh("evt")
    content = body.standard(
        body.Event(
            id=message_id,
            type=test.type,
            occurred_at=clock.now(),
            data=bytes(test.data),
            stream=None,
            version=None,
            position=None,
            subject=None,
            tenant_id=ids.encode("ten", test.tenant_id),
            metadata=message.NO_METADATA,
        )
    )
    place = webhook_place(test.tenant_id, test.webhook_id, test.secret_version)
    secret = vault.open(Sealed(test.key_id, bytes(test.sealed)), place)
    headers = {"daybook-test": "1", "daybook-type": test.type, "daybook-attempt": "1"}
    return message.signed(
        test.url, message_id, headers, content, secret, test.timeout_seconds
    )


def _attempt(started_at: str, request: Outgoing, answer: Answer) -> dict[str, Any]:
    """The Attempt that the API shows; its ids are the API's to give."""
    seconds = retry.parse_retry_after(answer.retry_after, clock.now())
    return {
        "number": 1,
        "trigger": "test",
        "started_at": started_at,
        "duration_ms": round(answer.duration_ms, 1),
        "status_code": answer.status_code,
        "error": answer.error,
        "detail": answer.detail,
        "retry_after_seconds": None if seconds is None else int(seconds),
        "request": {
            "headers": {
                name: value
                for name, value in request.headers.items()
                if name != "webhook-signature"
            },
            "body_bytes": len(request.body),
            "body_sha256": hashlib.sha256(request.body).hexdigest(),
        },
        "response": {
            "headers": verdict.kept_headers(answer),
            "body_bytes": answer.response_bytes,
            "snippet": None,
        },
    }
