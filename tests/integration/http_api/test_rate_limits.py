"""Rate limits: what each policy counts, what answers say of it, and whom it lets alone."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import msgspec
import pytest

from api import quotas
from api.settings import ApiSettings
from domain import ids
from domain.ids import DeliveryKey
from domain.tenancy import api_key
from projections.vault import generate_keys
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    running,
)
from tests.support import plain_http

EVENTS, WEBHOOKS = "/api/v1/events", "/api/v1/webhooks"
EVENT = {"type": "a.b", "data": {}}


@pytest.fixture
def settings(server: Server) -> ApiSettings:
    """As they are when nobody sets them."""
    return ApiSettings(
        database_url=server.database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
    )


@pytest.fixture
def url(settings: ApiSettings) -> Iterator[str]:
    """An API with the limits that everybody has."""
    with running(settings) as found:
        yield found


def limit(operator: httpx.Client, account: Account, **limits: int) -> None:
    """The operator sets the tenant's limits, and they hold at once."""
    body = {"settings": {"limits": limits}}
    answer = operator.patch(f"/api/v1/tenants/{account.tenant_id}", json=body)
    assert answer.status_code == 200, answer.text


def client_of(url: str, account: Account) -> httpx.Client:
    return plain_http.client(url, account.key)


def refused(answer: httpx.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "rate_limited"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    return True


def test_answers_tell_what_is_left(account: Account, url: str) -> None:
    with client_of(url, account) as client:
        for left in (599, 598):
            answer = client.get(EVENTS)
            assert answer.headers["RateLimit-Policy"] == '"default";q=600;w=60'
            told = re.fullmatch(
                r'"default";r=(\d+);t=(\d+)', answer.headers["RateLimit"]
            )
            assert told is not None
            assert int(told[1]) == left
            assert 50 < int(told[2]) <= 60
        # Refusals count, and tell it too.
        answer = client.get(f"{EVENTS}/absent-id")
        assert (answer.status_code, answer.headers["RateLimit"][:16]) == (
            404,
            '"default";r=597;',
        )
        published = client.post(EVENTS, json=EVENT)
        assert published.headers["RateLimit-Policy"] == '"publish";q=60000;w=60'
        assert published.headers["RateLimit"].startswith('"publish";r=59999;t=')


def test_a_keys_requests_are_counted_exactly_over_processes(
    account: Account, operator: httpx.Client, settings: ApiSettings
) -> None:
    limit(operator, account, default=40)
    with ExitStack() as stack:
        urls = [stack.enter_context(running(settings)) for _ in range(2)]
        clients = [stack.enter_context(client_of(url, account)) for url in urls]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: clients[n % 2].get(EVENTS), range(60)))
    assert sum(not refused(answer) for answer in answers) == 40
    assert all(answer.status_code in (200, 429) for answer in answers)


def test_each_key_has_its_own(account: Account, operator: httpx.Client) -> None:
    limit(operator, account, default=3)
    client = account.with_scopes("events:read")  # the first of the account's own
    assert [refused(client.get(EVENTS)) for _ in range(4)] == [False] * 3 + [True]
    assert [refused(account.client.get(EVENTS)) for _ in range(3)] == [
        False,
        False,
        True,
    ]
    assert not refused(operator.get("/api/v1/tenants"))


def test_publishing_is_counted_for_the_tenant_and_by_itself(
    account: Account, operator: httpx.Client
) -> None:
    client = account.with_scopes("events:write")
    limit(operator, account, publish=3)
    publishing = [client, account.client, client, account.client]
    answers = [one.post(EVENTS, json=EVENT) for one in publishing]
    assert [refused(answer) for answer in answers] == [False] * 3 + [True]
    assert answers[3].headers["RateLimit-Policy"] == '"publish";q=3;w=60'
    assert refused(client.post(f"{EVENTS}/batch", json={"events": [EVENT]}))
    listed = account.get(EVENTS)
    assert len(listed["data"]) == 3


def test_publishing_by_blocks(account: Account, operator: httpx.Client) -> None:
    limit(operator, account, publish=800)  # blocks of two
    answers = [account.client.post(EVENTS, json=EVENT) for _ in range(9)]
    left = [int(a.headers["RateLimit"].split("r=")[1].split(";")[0]) for a in answers]
    assert left == sorted(left, reverse=True)
    assert 800 - 9 >= left[-1] >= 800 - 9 - 4


def test_development_publishes_without_limit(
    account: Account, operator: httpx.Client, settings: ApiSettings
) -> None:
    limit(operator, account, publish=1, default=600)
    developing = msgspec.structs.replace(settings, development=True)
    with running(developing) as url, client_of(url, account) as client:
        answers = [client.post(EVENTS, json=EVENT) for _ in range(3)]
        assert not any(refused(answer) for answer in answers)
        assert "RateLimit" not in answers[0].headers
        assert "RateLimit" in client.get(EVENTS).headers
        limits = client.get("/api/v1/me").json()["limits"]
        assert (limits["publish"], limits["default"]) == (None, 600)


def test_tests_and_retries_are_counted_for_each_webhook(
    account: Account, operator: httpx.Client
) -> None:
    limit(operator, account, test=2, retry=1)
    first, second = account.webhook()["id"], account.webhook()["id"]
    wrong = {"data": 1}  # a refusal before it is sent, and before it is counted
    assert account.client.post(f"{WEBHOOKS}/{first}/test", json=wrong).is_error
    with account.server.admin() as admin:
        admin.execute(
            "update webhooks set timeout_seconds = 0 where tenant_id = %s",
            [ids.decode("ten", account.tenant_id)],
        )
    answers = [account.client.post(f"{WEBHOOKS}/{first}/test") for _ in range(3)]
    assert [refused(answer) for answer in answers] == [False, False, True]
    assert answers[2].headers["RateLimit-Policy"] == (
        '"default";q=1000000;w=60, "test";q=2;w=60'
    )
    assert not refused(account.client.post(f"{WEBHOOKS}/{second}/test"))
    absent = ids.delivery(DeliveryKey(1, 1, 0))
    retry = f"/api/v1/webhook-deliveries/{absent}/retry"
    answers = [account.client.post(retry) for _ in range(2)]
    assert [refused(answer) for answer in answers] == [False, True]


def test_keys_that_are_none_are_counted_for_the_address(
    settings: ApiSettings, database_url: str
) -> None:
    # The address is everybody's, so it is counted in a database of its own.
    settings = msgspec.structs.replace(settings, database_url=database_url)
    with ExitStack() as stack:
        urls = [stack.enter_context(running(settings)) for _ in range(2)]
        one, other = (stack.enter_context(plain_http.client(url)) for url in urls)
        # Who sends no key tries nothing.
        assert {one.get(EVENTS).status_code for _ in range(20)} == {401}
        wrong = [f"Bearer {api_key.generate()}", "Bearer dbk_x", "Basic x", "x"] * 3
        answers = [
            (one, other)[number % 2].get(EVENTS, headers={"Authorization": value})
            for number, value in enumerate(wrong)
        ]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
        assert all(refused(answer) for answer in answers[10:])
        assert answers[0].headers["RateLimit-Policy"] == '"auth";q=10;w=60'
        assert answers[0].headers["RateLimit"].startswith('"auth";r=9;t=')
        metrics = one.get("/metrics", headers={"Authorization": "Bearer no-operator"})
        assert refused(metrics)
        # Those of the same address who have a key are let alone, and health is too.
        operators = {"Authorization": f"Bearer {OPERATOR_KEY}"}
        assert one.get("/api/v1/tenants", headers=operators).status_code == 200
        for _ in range(15):
            health = one.get("/health/ready", headers={"Authorization": "Bearer x"})
            assert health.status_code == 200
            assert "RateLimit" not in health.headers


NETWORKS = {
    ("192.0.2.7", 1): "192.0.2.7",
    ("::ffff:192.0.2.7", 1): "192.0.2.7",
    ("2001:db8:1:2:3:4:5:6", 1): "2001:db8:1:2::/64",
    ("fe80::1%eth0", 1): "fe80::/64",
    ("a socket", 0): "a socket",
    None: "unknown",
}


@pytest.mark.parametrize("client", NETWORKS)
def test_whom_an_address_stands_for(client: Any) -> None:
    assert quotas._network(client) == NETWORKS[client]


def test_limits_are_shown_and_may_be_taken_back(
    account: Account, operator: httpx.Client
) -> None:
    limit(operator, account, default=100, publish=200, test=3, retry=4)
    shown = account.get("/api/v1/me")["limits"]
    assert {name: shown[name] for name in ("default", "publish", "test", "retry")} == {
        "default": 100,
        "publish": 200,
        "test": 3,
        "retry": 4,
    }
    one = f"/api/v1/tenants/{account.tenant_id}"
    body: Any = {"settings": {"limits": {"publish": None}}}
    settings = operator.patch(one, json=body).json()["settings"]["limits"]
    assert (settings["publish"], settings["default"]) == (None, 100)
    for value in (0, -1, 1.5, "5", 10**9):
        body = {"settings": {"limits": {"default": value}}}
        assert operator.patch(one, json=body).status_code == 422
