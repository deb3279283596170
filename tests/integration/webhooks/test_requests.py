"""What a receiver gets, from the log through the worker: formats, secrets, headers."""

import asyncio
from uuid import UUID

import msgspec
import standardwebhooks
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from domain import ids
from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import commands
from domain.webhooks.event_type import Declaration
from domain.webhooks.retry import Schedule
from domain.webhooks.settings import Format, Scheme
from domain.webhooks.subscription import Subscription, originator_id
from projections.webhooks import sealing
from projections.webhooks.sealing import Place
from tests.support import builders
from tests.support.builders import SECRET, VAULT
from tests.support.delivering import (
    NEW_SECRET,
    ToldReceiver,
    publish,
    rotate,
    rows,
    subscribe,
    working,
)
from tests.support.proxying import proxying
from tests.support.waiting import soon

RESULTS = "select state, attempts, error from daybook.results order by position"
FORMATS: list[Format] = ["standard", "raw", "cloudevents", "cloudevents_binary"]


async def test_each_format_as_its_readers_know_it(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook

    for format_ in FORMATS:
        await subscribe(log, tenant_id, f"{url}?{format_}", format=format_)
    async with working(database_url):
        state = b'{ "passed" : true, "n": 1e2 }'
        await publish(log, tenant_id, state=state, subject="worker/é")
        await soon(lambda: len(receiver.arrivals) == 4)

    for headers, body in zip(receiver.arrivals, receiver.bodies, strict=True):
        standardwebhooks.Webhook(SECRET).verify(body, headers)
        assert state in body
        if "cloudevents" in headers["content-type"] or "ce-id" in headers:
            event = from_http_event(HTTPMessage(headers, body))
            assert event.get_data() == {"passed": True, "n": 100}
            attributes = event.get_attributes()
            assert attributes["id"] == headers["webhook-id"]
            assert attributes["subject"] == "worker/é"
            assert attributes["position"] == headers["daybook-position"]
        elif body != state:
            assert msgspec.json.decode(body)["id"] == headers["webhook-id"]
    assert len({*receiver.bodies}) == 3  # raw and binary have the same


async def test_the_format_is_that_of_the_handoff_all_else_that_of_the_attempt(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    """Also on retries: the body has the same bytes, signed with the secrets of now."""
    receiver, url = hook
    receiver.answers.append(500)
    own = Schedule(delays=[1], jitter=0)
    webhook_id = await subscribe(
        log, tenant_id, f"{url}?old", format="cloudevents", retry=own
    )

    def change() -> None:
        webhook = commands.load(log, tenant_id, webhook_id)
        place = Place(tenant_id, webhook_id, webhook.version + 1)
        rider = sealing.headers_rider(VAULT, place, {"X-Env": "prod"})
        settings = builders.settings(
            url=f"{url}?new",
            event_types=["crane.*"],
            format="raw",
            retry=own,
            header_names=["X-Env"],
            headers_version=place.version,
        )
        webhook.configure(settings)
        log.record(webhook, Context("test", riders=[rider]))
        rotate(log, tenant_id, webhook_id)

    async with working(database_url):
        await publish(log, tenant_id)
        await soon(lambda: len(receiver.arrivals) == 1)
        await asyncio.to_thread(change)
        await soon(lambda: len(receiver.arrivals) == 2)
        await publish(log, tenant_id)
        await soon(lambda: len(receiver.arrivals) == 3)

    first, second, third = receiver.arrivals
    assert receiver.bodies[0] == receiver.bodies[1]
    assert "x-env" not in first
    assert second["x-env"] == third["x-env"] == "prod"
    assert len(first["webhook-signature"].split(" ")) == 1
    for arrival, body in ((second, receiver.bodies[1]), (third, receiver.bodies[2])):
        for secret in (SECRET, NEW_SECRET):
            standardwebhooks.Webhook(secret).verify(body, arrival)
    assert receiver.bodies[2] == b'{"passed":true}'


async def test_networks_keep_requests_out(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    own = Schedule(delays=[1], jitter=0, max_age_seconds=1)

    for block in ("203.0.113.0/24", "127.0.0.0/8"):
        await subscribe(log, tenant_id, url, networks=[block], retry=own)
    async with working(database_url):
        await publish(log, tenant_id)

        async def both() -> bool:
            return len(await rows(database_url, RESULTS)) == 2

        await soon(both)

    found = {tuple(row) for row in await rows(database_url, RESULTS)}
    assert found == {("dead", 1, "blocked"), ("succeeded", 1, None)}
    assert len(receiver.arrivals) == 1


async def test_a_test_is_sent_as_a_delivery_would_be(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    schemes: list[Scheme] = ["v1", "v1a"]

    def make() -> UUID:
        webhook_id = ids.new()
        place = Place(tenant_id, webhook_id, 1)
        riders = [
            sealing.signing_rider(VAULT, place, SECRET),
            sealing.key_rider(VAULT, place),
            sealing.headers_rider(VAULT, place, {"Authorization": "Bearer x"}),
        ]
        settings = builders.settings(
            url=url,
            format="cloudevents",
            signing=schemes,
            header_names=["Authorization"],
            headers_version=1,
            keep_response=True,
        )
        webhook = Subscription(
            id=originator_id(tenant_id, webhook_id),
            settings=msgspec.to_builtins(settings),
        )
        log.record(webhook, Context("test", riders=riders))
        return webhook_id

    webhook_id = await asyncio.to_thread(make)
    async with working(database_url):
        await rows(
            database_url,
            "insert into daybook.test_requests (tenant_id, request_id, webhook_id, type,"
            " data) values (%s, %s, %s, 'daybook.test', '{}') returning 1",
            tenant_id,
            ids.new(),
            webhook_id,
        )
        answered = "select answer from daybook.test_requests where answer is not null"
        [test] = await soon(lambda: rows(database_url, answered))

    [arrival], [body] = receiver.arrivals, receiver.bodies
    standardwebhooks.Webhook(SECRET).verify(body, arrival)
    signatures = arrival["webhook-signature"].split(" ")
    assert [one.partition(",")[0] for one in signatures] == ["v1", "v1a"]
    assert arrival["content-type"] == "application/cloudevents+json"
    assert arrival["authorization"] == "Bearer x"
    shown = test.answer["request"]["headers"]
    assert shown["Authorization"] == "***"
    assert "webhook-signature" not in shown
    attributes = from_http_event(HTTPMessage(arrival, body)).get_attributes()
    assert "position" not in attributes


async def test_what_a_type_keeps_secret_is_left_out_from_then_on(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url, format="raw")
    await publish(log, tenant_id)
    secret = Declaration(secret_fields=["/passed"])
    await asyncio.to_thread(
        commands.declare, log, Context("test"), tenant_id, "crane.inspected", secret
    )
    await publish(log, tenant_id)
    async with working(database_url):
        await soon(lambda: len(receiver.arrivals) == 2)

    sizes = {a["daybook-position"]: a["content-length"] for a in receiver.arrivals}
    assert sizes == {"2": str(len('{"passed":true}')), "4": str(len("{}"))}


async def test_what_goes_through_an_egress_proxy(
    database_url: str, log: Log, tenant_id: UUID, hook: tuple[ToldReceiver, str]
) -> None:
    receiver, url = hook
    await subscribe(log, tenant_id, url)
    async with proxying() as proxy:
        setting = f"http://127.0.0.1:{proxy.port}"
        async with working(database_url, egress_proxy=setting):
            await publish(log, tenant_id)
            await soon(lambda: receiver.arrivals)
    assert proxy.places == [url.removeprefix("http://").removesuffix("/hook")]
