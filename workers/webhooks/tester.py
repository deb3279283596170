"""Test deliveries: somebody waits at the API, a worker sends, the answer goes back.

Only workers send. A test is not in the log and in no figure: header `daybook-test: 1`.
"""

import asyncio
import hashlib
from typing import Any

import structlog
from psycopg.types.json import Jsonb

from domain import clock, ids, traces
from domain.webhooks import body, retry
from projections import postgres, waiting
from projections.postgres import Link
from projections.vault import Vault, VaultError
from projections.webhooks.testing import QUERIES
from workers.webhooks import message, targets, verdict
from workers.webhooks.endpoint import WebhookKey
from workers.webhooks.message import Target
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
        try:
            key = WebhookKey(test.tenant_id, test.webhook_id)
            carried = await targets.fetch(self._link, [key])
            target = targets.target(carried[test.webhook_id])
            request = _compose(test, target, self._vault)
            started = clock.now()
            answer = await self._sender.send(request)
            told = _attempt(clock.rfc3339(started), request, answer)
            if test.keep_response:
                text = answer.snippet.decode("utf-8", "replace")
                told["response"]["snippet"] = verdict.storable(text) or None
            params = {
                "tenant_id": test.tenant_id,
                "request_id": test.request_id,
                "answer": Jsonb(told),
            }
            await self._link.rows(QUERIES["answer_test"], params)
        except postgres.AWAY:
            log.warning("test_answer_lost")
        except VaultError:
            log.exception("secret_unavailable", webhook=str(test.webhook_id))


def _compose(test: Any, target: Target, vault: Vault) -> Outgoing:
    message_id = ids.fresh("evt")
    begun = traces.of_event(None, test.tenant_id, message_id)
    event = body.Event(
        id=message_id,
        type=test.type,
        occurred_at=clock.now(),
        data=bytes(test.data),
        stream=None,
        version=None,
        position=None,
        subject=None,
        tenant_id=ids.encode("ten", test.tenant_id),
        metadata=None,
        traceparent=begun.header(),
    )
    ours = {
        "daybook-test": "1",
        "daybook-type": test.type,
        "daybook-attempt": "1",
        "traceparent": begun.child().header(),
    }
    rendered = body.render(event, test.format)
    return message.outgoing(target, message_id, rendered, ours, vault)


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
            "headers": message.shown(request.headers),
            "body_bytes": len(request.body),
            "body_sha256": hashlib.sha256(request.body).hexdigest(),
        },
        "response": {
            "headers": verdict.kept_headers(answer),
            "body_bytes": answer.response_bytes,
            "snippet": None,
        },
    }
