"""From publish to receiver through processes of their own, with and without kills."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from domain import ids, patterns
from tests.support.payloads import Payload, payloads
from tests.support.processes import Product, cluster, expect, product
from tests.support.recording import Recorder, recording
from tests.support.waiting import eventually

CLIENTS = 16
EVENTS = 960
HOOKS = {"/all": ["*"], "/push": ["github.push"]}


class Run:
    """A tenant with two webhooks, and everything published to it."""

    def __init__(self, made: Product, recorder: Recorder, url: str) -> None:
        self.made, self.recorder, self.database_url = made, recorder, url
        made.serve()
        self.worker = made.work()
        _, key = made.tenant()
        self.client = made.client(key)
        self.webhooks: dict[str, str] = {}
        for path, event_types in HOOKS.items():
            body = {
                "url": recorder.url + path,
                "event_types": event_types,
                # Enough for a delivery that is on its way at each of six losses.
                "retry": {"delays": [2] * 8},
                "max_in_flight": 20,
            }
            webhook = expect(self.client.post("/api/v1/webhooks", json=body), 201)
            self.webhooks[path] = webhook["id"]
            recorder.secrets[path] = webhook["secret"]
        self.published: dict[str, Payload] = {}

    def close(self) -> None:
        """Close the client."""
        self.client.close()

    async def publish(self, events: list[Payload]) -> None:
        """From 16 clients at once; what fails is repeated with the same id."""
        waiting = iter(events)
        headers = {
            "authorization": self.client.headers["authorization"],
            "content-type": "application/json",
        }
        async with httpx.AsyncClient(
            base_url=self.made.api_url, headers=headers, timeout=30, trust_env=False
        ) as client:
            await asyncio.gather(
                *(self._client(client, waiting) for _ in range(CLIENTS))
            )

    async def _client(
        self, client: httpx.AsyncClient, waiting: Iterator[Payload]
    ) -> None:
        for payload in waiting:
            event_id = ids.fresh("evt")
            while not await self._accepted(client, payload.body(event_id)):
                await asyncio.sleep(0.05)
            self.published[event_id] = payload

    async def _accepted(self, client: httpx.AsyncClient, body: bytes) -> bool:
        try:
            response = await client.post("/api/v1/events", content=body)
        except httpx.TransportError:
            return False
        assert response.status_code in (200, 202, 503), response.text
        return response.is_success

    def expected(self, path: str) -> set[str]:
        """The events that the webhook at this path must get."""
        return {
            event_id
            for event_id, payload in self.published.items()
            if patterns.matches(HOOKS[path], payload.type)
        }

    def wait_until_delivered(self, seconds: float) -> None:
        """Until nothing is owed any more and everything has arrived."""
        eventually(self._is_delivered, seconds)

    def _is_delivered(self) -> bool:
        if any(not self.expected(p) <= set(self.recorder.ids(p)) for p in HOOKS):
            return False
        try:
            return self.count("select count(*) from daybook.owed") == 0
        except psycopg.OperationalError:
            return False

    def count(self, query: str) -> int:
        """The number that a query gives."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def deliveries(self, path: str) -> list[Any]:
        """The delivery list of the webhook at this path, all pages."""
        found, params = [], {"limit": "500"}
        while True:
            url = f"/api/v1/webhooks/{self.webhooks[path]}/deliveries"
            page = expect(self.client.get(url, params=params), 200)
            found += page["data"]
            if page["next"] is None:
                return found
            params["cursor"] = page["next"]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as made:
        yield made


def assert_bodies_hold_the_bytes_as_sent(run: Run) -> None:
    for path in HOOKS:
        for arrived in run.recorder.arrivals[path]:
            assert arrived.is_verified
            sent = run.published[arrived.headers["webhook-id"]]
            assert b'"data":' + sent.data in arrived.body
            assert json.loads(arrived.body)["type"] == sent.type


def assert_lists_equal_what_arrived(run: Run) -> None:
    for path in HOOKS:
        listed = run.deliveries(path)
        assert {d["event_id"] for d in listed} == run.expected(path)
        assert {d["state"] for d in listed} <= {"succeeded"}
        positions = [d["position"] for d in listed]
        assert all(newer > older for newer, older in pairwise(positions))
        assert sum(d["attempt_count"] for d in listed) >= len(run.recorder.ids(path))


@pytest.mark.timeout(120)
def test_each_event_reaches_each_matching_webhook_once_as_it_was_sent(
    database_url: str, tmp_path: Path, recorder: Recorder
) -> None:
    with (
        product(database_url, tmp_path) as made,
        closing(Run(made, recorder, database_url)) as run,
    ):
        asyncio.run(run.publish(payloads(EVENTS)))
        run.wait_until_delivered(60)

        assert len(run.published) == EVENTS
        for path in HOOKS:
            assert Counter(recorder.ids(path)) == Counter(run.expected(path))
        assert_bodies_hold_the_bytes_as_sent(run)
        assert_lists_equal_what_arrived(run)
        assert [p.stop() for p in reversed(made.processes)] == [0, 0], made.logs()


@pytest.mark.timeout(180)
def test_five_lost_workers_and_a_lost_postgres_lose_nothing(
    tmp_path: Path, recorder: Recorder
) -> None:
    with (
        cluster() as postgres,
        product(postgres.url, tmp_path) as made,
        closing(Run(made, recorder, postgres.url)) as run,
    ):
        publishing = threading.Thread(
            target=lambda: asyncio.run(run.publish(payloads(EVENTS)))
        )
        publishing.start()
        for number in range(5):
            _wait_for_more(recorder)
            run.worker.kill()
            if number == 2:
                postgres.kill()
            run.worker.start()
        publishing.join()
        run.wait_until_delivered(90)

        assert len(run.published) == EVENTS
        assert_bodies_hold_the_bytes_as_sent(run)
        assert_lists_equal_what_arrived(run)
        for path in HOOKS:
            _assert_repeats_are_explained(run, path)
        assert run.count(DOUBLED) == 0


# Owed + finished is exactly one for each webhook and position.
DOUBLED = """
    select count(*) from (
        select tenant_id, webhook_id, position from (
            select tenant_id, webhook_id, position from daybook.owed
            union all select tenant_id, webhook_id, position from daybook.results) all_rows
        group by 1, 2, 3 having count(*) > 1) doubled
"""


def _wait_for_more(recorder: Recorder) -> None:
    """Until something arrives from the worker that runs now: it is in full swing."""
    seen = len(recorder.arrivals["/all"])
    eventually(lambda: len(recorder.arrivals["/all"]) > seen + 20, 30)


def _assert_repeats_are_explained(run: Run, path: str) -> None:
    """Each arrival has one attempt row: the repeats' first ones are recorded as unknown."""
    arrivals = Counter(run.recorder.ids(path))
    for delivery in run.deliveries(path):
        url = f"/api/v1/webhook-deliveries/{delivery['id']}"
        arrived = arrivals[delivery["event_id"]]
        assert delivery["attempt_count"] >= arrived
        if delivery["attempt_count"] > 1:
            attempts = expect(run.client.get(url), 200)["attempts"]
            known = [a for a in attempts if a["status_code"] is not None]
            assert len(attempts) == delivery["attempt_count"]
            assert len(known) <= arrived <= len(attempts)
