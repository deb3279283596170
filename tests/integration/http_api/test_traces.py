"""`traceparent` on publishing: kept with the event, and nothing else changes."""

from typing import Any

import pytest

from domain import traces
from tests.integration.http_api.conftest import Account

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = f"00-{TRACE}-00f067aa0ba902b7-00"
EVENT = {"type": "a.b", "data": {}}


def kept(account: Account) -> list[str | None]:
    """What the log keeps of the traces of the tenant's published events, in order."""
    with account.server.admin() as admin:
        rows = admin.execute(
            "select e.trace, e.tenant_id, e.event_id from daybook.events e"
            " where e.topic = 'published' and e.tenant_id ="
            " (select tenant_id from daybook.events where event_id = %s) order by position",
            [account.publish()["id"]],
        ).fetchall()
    return [
        packed and traces.of_event(packed, *rest).header() for packed, *rest in rows
    ]


def publish(account: Account, path: str, body: Any, *headers: str) -> Any:
    response = account.client.post(
        f"/api/v1/events{path}",
        json=body,
        headers=[("traceparent", header) for header in headers],
    )
    assert response.status_code in (200, 202), response.text
    return response.json()


def test_the_publishers_trace_is_kept(account: Account) -> None:
    publish(account, "", EVENT, PARENT)
    assert kept(account) == [PARENT, None]


def test_a_batch_is_of_one_trace(account: Account) -> None:
    publish(account, "/batch", {"events": [EVENT, EVENT]}, PARENT)
    assert kept(account) == [PARENT, PARENT, None]


@pytest.mark.parametrize("headers", [["00-nonsense"], [PARENT, OTHER], [""]])
def test_what_names_no_trace_is_ignored(account: Account, headers: list[str]) -> None:
    publish(account, "", EVENT, *headers)
    assert kept(account) == [None, None]


def test_a_repeat_is_one_whatever_its_trace(account: Account) -> None:
    event = EVENT | {"id": "the-same-event"}
    first = publish(account, "", event, PARENT)
    assert publish(account, "", event, OTHER) == first
    assert kept(account) == [PARENT, None]


def test_with_an_idempotency_key_too(account: Account) -> None:
    account.client.headers["Idempotency-Key"] = "once"
    publish(account, "", EVENT, PARENT)
    del account.client.headers["Idempotency-Key"]
    assert kept(account) == [PARENT, None]
