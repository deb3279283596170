"""Networks of a webhook's own: no address outside, on no connection, of either sender."""

import functools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.conformance.conftest import MakeSender
from tests.conformance.raw_receiver import NO_CONTENT, reply, serving
from workers.webhooks import confined_sender
from workers.webhooks.confined_sender import ConfinedSender
from workers.webhooks.sender import Answer, Outgoing, Sender

INSIDE, OUTSIDE = ["127.0.0.0/30"], ["127.0.0.4/30", "203.0.113.0/24"]


def request(url: str, networks: Sequence[str] | None) -> Outgoing:
    return Outgoing(url, {}, b"{}", 5.0, networks)


async def resolver(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
async def sender(make_sender: MakeSender) -> AsyncIterator[ConfinedSender]:
    confined = ConfinedSender(functools.partial(make_sender, resolver=resolver))
    yield confined
    await confined.close()


async def test_a_host_outside_is_blocked(sender: Sender) -> None:
    async with serving(reply(NO_CONTENT)) as receiver:
        for url in (receiver.url(), receiver.url(host="hook.test")):
            answer = await sender.send(request(url, OUTSIDE))
            assert (answer.error, receiver.connections) == ("blocked", 0)
            assert "networks" in answer.detail


async def test_a_connection_is_not_shared_across_networks(sender: Sender) -> None:
    async with serving(reply(NO_CONTENT)) as receiver:
        url = receiver.url(host="hook.test")
        anywhere = await sender.send(request(url, None))
        outside = await sender.send(request(url, OUTSIDE))
        inside = await sender.send(request(url, INSIDE))
    assert [one.error for one in (anywhere, outside, inside)] == [None, "blocked", None]


async def test_networks_do_not_open_what_is_closed(make_sender: MakeSender) -> None:
    make = functools.partial(make_sender, False, ports=frozenset({8443}))
    sender = ConfinedSender(make)
    answer = await sender.send(request("https://127.0.0.1:8443/", INSIDE))
    assert answer.error == "blocked"
    await sender.close()


async def test_no_more_senders_are_kept_than_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confined_sender, "MOST_SENDERS", 2)
    open_: set[Any] = set()

    class Counted:
        def __init__(self, networks: Sequence[str] | None) -> None:
            self.networks = networks
            open_.add(networks)

        async def send(self, request: Outgoing) -> Answer:
            return Answer(204, None, "", 1.0, None, {}, 0, b"")

        async def close(self) -> None:
            open_.discard(self.networks)

    sender = ConfinedSender(Counted)
    for block in ("10.0.0.0/8", "11.0.0.0/8", None, "12.0.0.0/8"):
        await sender.send(request("https://e.example/", block and [block]))
    assert open_ == {None, ("12.0.0.0/8",)}
    await sender.close()
    assert open_ == set()
