"""Bodies made again from the log, and the beginnings of answers: as they were."""

import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from api.webhooks import attempts as shown
from domain.application import Log
from domain.ids import DeliveryKey
from projections.postgres import Database
from projections.webhooks import deliveries
from tests.integration.webhooks.test_replays import ENDED, ask
from tests.support.builders import VAULT
from tests.support.delivering import (
    ToldReceiver,
    finished,
    publish,
    rows,
    subscribe,
    working,
)
from tests.support.waiting import soon

Hook = tuple[ToldReceiver, str]
ODD = b'{"n":1e2, "b":1.50,"a":"\\u00e9\xc3\xa9"}'


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """As the API has it."""
    opened = Database(database_url, "daybook_app", "test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "form", ["standard", "raw", "cloudevents", "cloudevents_binary"]
)
async def test_a_body_made_again_is_what_was_sent(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    database: Database,
    form: str,
) -> None:
    receiver, url = hook
    webhook_id = await subscribe(log, tenant_id, url, format=form)
    async with working(database_url):
        await publish(log, tenant_id, state=ODD, metadata=b'{"k": "v"}', subject="w/1")
        await soon(finished(database_url, 1))
        await ask(log, tenant_id, webhook_id, to_position=2, fresh_ids=True)
        await soon(lambda: rows(database_url, ENDED))

    sent = await rows(
        database_url, "select body_sha256 from daybook.attempts order by replay"
    )
    for replay, arrival in enumerate(receiver.arrivals):
        async with database.tenant(tenant_id) as connection:
            key = DeliveryKey(2, 1, replay)
            row = await deliveries.delivery(connection, tenant_id, key)
            assert row is not None
            made = await deliveries.attempts(connection, tenant_id, row)
            content = await deliveries.content(connection, tenant_id, row)
        rendered = shown.body(tenant_id, content)
        assert rendered.body == receiver.bodies[replay]
        assert hashlib.sha256(rendered.body).digest() == sent[replay].body_sha256
        seen = shown.with_attempts(tenant_id, row, made, content, VAULT)
        headers = seen.attempts[0].request.headers
        moment = int(headers.pop("webhook-timestamp"))
        assert 0 <= moment - int(arrival["webhook-timestamp"]) <= 1
        assert headers.items() <= arrival.items()
        assert headers.keys() >= {
            name for name in arrival if name.startswith(("daybook-", "ce-", "webhook-"))
        } - {"webhook-timestamp", "webhook-signature"}


async def test_what_a_type_keeps_secret_is_in_no_body_made_again(
    database_url: str, log: Log, tenant_id: UUID, hook: Hook, database: Database
) -> None:
    _, url = hook
    await subscribe(log, tenant_id, url)
    await publish(log, tenant_id, state=b'{"passed":true,"who":"Ada"}')
    await rows(
        database_url,
        "insert into daybook.secret_field_ranges (tenant_id, type, to_position, "
        "from_position, secret_fields) values (%s, 'crane.inspected', 1000, 1, "
        "array['/who'])",
        tenant_id,
    )
    async with working(database_url):
        await soon(finished(database_url, 1))
    async with database.tenant(tenant_id) as connection:
        row = await deliveries.delivery(connection, tenant_id, DeliveryKey(2, 1))
        assert row is not None
        content = await deliveries.content(connection, tenant_id, row)
    rendered = shown.body(tenant_id, content)
    [sent] = await rows(database_url, "select body_sha256 from daybook.attempts")
    assert hashlib.sha256(rendered.body).digest() == sent.body_sha256
    assert b"Ada" not in rendered.body


@pytest.mark.parametrize("keeps", [True, False])
async def test_the_beginning_of_an_answer_is_shown_where_it_is_kept(
    database_url: str,
    log: Log,
    tenant_id: UUID,
    hook: Hook,
    database: Database,
    keeps: bool,
) -> None:
    receiver, url = hook
    receiver.text = "réponse " * 1000
    receiver.answers.append(200)
    await subscribe(log, tenant_id, url, keep_response=keeps)
    async with working(database_url):
        await publish(log, tenant_id)
        await soon(finished(database_url, 1))
    async with database.tenant(tenant_id) as connection:
        row = await deliveries.delivery(connection, tenant_id, DeliveryKey(2, 1))
        assert row is not None
        made = await deliveries.attempts(connection, tenant_id, row)
        content = await deliveries.content(connection, tenant_id, row)
    seen = shown.with_attempts(tenant_id, row, made, content, VAULT)
    snippet = seen.attempts[0].response.snippet
    assert (snippet is not None) == keeps
    if snippet is not None:
        assert snippet.startswith("réponse réponse ")
        [kept] = await rows(database_url, "select snippet from daybook.attempts")
        assert "réponse".encode() not in kept.snippet
