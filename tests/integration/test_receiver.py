"""The built-in receiver, against somebody else's signatures."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from standardwebhooks import Webhook

from workers.receiver import KEPT_ARRIVALS, Arrival, Receiver

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = '{"id":"evt_1", "data":{"site":"Orléans"}}'


class Arrivals(list[Arrival]):
    """A running receiver's URL and what it told of."""

    url = ""
    receiver: Receiver


@pytest.fixture
async def arrivals() -> AsyncIterator[Arrivals]:
    seen = Arrivals()
    seen.receiver = Receiver(lambda: [OTHER, SECRET], seen.append)
    seen.url = await seen.receiver.start()
    yield seen
    await seen.receiver.stop()


@pytest.fixture
async def client(arrivals: Arrivals) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=arrivals.url, trust_env=False) as client:
        yield client


def signed(
    secret: str = SECRET, age: timedelta = timedelta(), body: str = BODY
) -> dict[str, str]:
    """The headers of a delivery, signed by the reference library."""
    sent_at = datetime.now(UTC) - age
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", sent_at, body),
        "daybook-type": "order.placed",
        "daybook-position": "1042",
        "daybook-sequence": "7",
        "daybook-attempt": "2",
        "daybook-delivery": "dlv_1",
    }


async def post(
    client: httpx.AsyncClient, headers: dict[str, str], body: str = BODY
) -> int:
    answer = await client.post("/hooks/demo", content=body, headers=headers)
    return answer.status_code


async def test_a_signed_arrival_is_told_of(
    arrivals: Arrivals, client: httpx.AsyncClient
) -> None:
    assert await post(client, signed()) == 204
    [arrival] = arrivals
    assert arrival == Arrival(
        received_at=arrival.received_at,
        webhook_id="evt_1",
        type="order.placed",
        position=1042,
        sequence=7,
        attempt=2,
        delivery="dlv_1",
        path="/hooks/demo",
        body=BODY.encode(),
        verified=True,
        reason=None,
        answered=204,
    )
    assert datetime.now(UTC) - arrival.received_at < timedelta(seconds=5)
    with pytest.raises(FrozenInstanceError):
        arrival.answered = 200  # type: ignore[misc]


@pytest.mark.parametrize("age", [timedelta(minutes=-4.9), timedelta(minutes=4.9)])
async def test_clocks_may_differ_by_5_minutes(
    client: httpx.AsyncClient, age: timedelta
) -> None:
    assert await post(client, signed(age=age)) == 204


async def test_one_good_signature_of_several_is_enough(
    client: httpx.AsyncClient,
) -> None:
    headers = signed()
    good = headers["webhook-signature"]
    bad = base64.b64encode(bytes(32)).decode()
    headers["webhook-signature"] = f"v1,{bad} v1a,{bad} {good} v2,x v1,"
    assert await post(client, headers) == 204
    headers["webhook-signature"] = signed(OTHER)["webhook-signature"]
    assert await post(client, headers) == 204


def _changed(**changes: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return signed() | named


# Made when asked for: between collection and the test, minutes may pass.
WRONG: dict[str, Callable[[], dict[str, str]]] = {
    "another secret": lambda: signed("whsec_" + base64.b64encode(b"x" * 24).decode()),
    "too old": lambda: signed(age=timedelta(minutes=5.1)),
    "too new": lambda: signed(age=timedelta(minutes=-5.1)),
    "another id": lambda: _changed(webhook_id="evt_2"),
    "another time": lambda: _changed(
        webhook_timestamp=str(int(datetime.now(UTC).timestamp()) - 9)
    ),
    "another version": lambda: _changed(
        webhook_signature=signed()["webhook-signature"].replace("v1,", "v1a,")
    ),
    "no version": lambda: _changed(
        webhook_signature=signed()["webhook-signature"].removeprefix("v1,")
    ),
    "no signature": lambda: _changed(webhook_signature=""),
    "no time": lambda: _changed(webhook_timestamp=""),
    "no number": lambda: _changed(webhook_timestamp="yesterday"),
    "a huge number": lambda: _changed(webhook_timestamp="9" * 5000),
    "no headers": dict,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_not_signed_is_refused(
    arrivals: Arrivals, client: httpx.AsyncClient, wrong: Callable[[], dict[str, str]]
) -> None:
    assert await post(client, wrong()) == 401
    [arrival] = arrivals
    assert (arrival.verified, arrival.answered) == (False, 401)
    assert arrival.reason


async def test_another_body_is_refused(client: httpx.AsyncClient) -> None:
    assert await post(client, signed(), BODY + " ") == 401


async def test_bytes_that_are_no_text_do_no_harm(
    arrivals: Arrivals, client: httpx.AsyncClient
) -> None:
    address = urlsplit(arrivals.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        b"POST /hooks/%ff\xff HTTP/1.1\r\nHost: x\r\nwebhook-id: \xff\xe9\r\n"
        b"webhook-timestamp: 1\r\nwebhook-signature: v1,\xff\r\n"
        b"Content-Length: 2\r\n\r\n\xff\xfe"
    )
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 40" in status
    assert (await client.get("/arrivals")).status_code == 200


async def test_the_next_arrivals_of_a_type_fail(
    arrivals: Arrivals, client: httpx.AsyncClient
) -> None:
    arrivals.receiver.fail_next("order.placed", 1)
    wanted = {"type": "order.placed", "times": 1}
    answer = await client.post("/control/fail", json=wanted)
    assert answer.json() == {"type": "order.placed", "times": 2}
    other = signed() | {"daybook-type": "order.paid"}
    assert await post(client, other) == 204
    assert await post(client, signed(), "forged") == 401
    assert [await post(client, signed()) for _ in range(3)] == [500, 500, 204]
    assert [a.verified for a in arrivals] == [True, False, True, True, True]
    assert arrivals[2].reason == "told to fail"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"type":"a"}', '{"type":"a","times":"1"}'],
)
async def test_a_wrong_order_to_fail_is_refused(
    client: httpx.AsyncClient, content: str
) -> None:
    json_type = {"content-type": "application/json"}
    answer = await client.post("/control/fail", content=content, headers=json_type)
    assert answer.status_code == 422
    negative = {"type": "a", "times": -1}
    assert (await client.post("/control/fail", json=negative)).status_code == 422
    assert (await client.post("/control/fail", content=content)).status_code == 415


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1"])
async def test_control_is_for_this_machine_only(
    client: httpx.AsyncClient, host: str
) -> None:
    order = {"type": "order.placed", "times": 1}
    headers = {"host": host}
    refused = await client.post("/control/fail", json=order, headers=headers)
    assert refused.status_code == 403
    assert (await client.get("/arrivals", headers=headers)).status_code == 403


async def test_arrivals_are_listed_without_large_bodies_or_secrets(
    client: httpx.AsyncClient,
) -> None:
    large = json.dumps("x" * 5000)
    await post(client, signed())
    await post(client, signed(body=large), large)
    await post(client, {})
    answer = await client.get("/arrivals")
    first, second, third = answer.json()["data"]
    assert (first["body"], first["position"], first["verified"]) == (BODY, 1042, True)
    assert first["received_at"].endswith("Z")
    assert (second["body"], second["body_bytes"], second["answered"]) == (
        None,
        5002,
        204,
    )
    assert (third["webhook_id"], third["answered"]) == (None, 401)
    assert SECRET[6:] not in answer.text
    assert "v1," not in answer.text


async def test_only_the_last_arrivals_are_kept(client: httpx.AsyncClient) -> None:
    for number in range(KEPT_ARRIVALS + 5):
        await post(client, {"daybook-position": str(number)})
    data = (await client.get("/arrivals")).json()["data"]
    assert [data[0]["position"], data[-1]["position"], len(data)] == [5, 1004, 1000]


async def test_unknown_routes_and_large_bodies(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 404
    assert (await client.get("/hooks/demo")).status_code == 405
    assert await post(client, signed(), "x" * 2_000_000) == 413


async def test_a_port_can_be_taken_again(arrivals: Arrivals) -> None:
    await arrivals.receiver.stop()
    port = urlsplit(arrivals.url).port
    assert port is not None
    assert await arrivals.receiver.start(port=port) == arrivals.url
