"""Where no sender can be made to go: names, addresses, ports, proxies."""

import asyncio
import ssl
from collections.abc import Sequence
from importlib.metadata import version

import pytest

from tests.conformance.conftest import MakeSender
from tests.conformance.raw_receiver import NO_CONTENT, reply, serving
from workers.webhooks.egress import Blocked, Guard, Unresolved, system_resolver
from workers.webhooks.httpx_sender import HttpxSender, JudgedConnections
from workers.webhooks.sender import Answer, Outgoing, Sender


async def send(sender: Sender, url: str, timeout: float = 5.0) -> Answer:
    return await sender.send(Outgoing(url, {}, b"{}", timeout))


class Names:
    """A resolver that answers with the next entry each time, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_a_name_leads_to_its_judged_address(make_sender: MakeSender) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with (
        serving(reply(NO_CONTENT)) as receiver,
        serving(reply(NO_CONTENT), host="127.0.0.2", port=receiver.port) as trap,
    ):
        sender = make_sender(resolver=names)
        answer = await send(sender, receiver.url(host="hook.test"))
    assert answer.error is None
    assert receiver.head()["host"] == f"hook.test:{receiver.port}"
    assert names.asked == [("hook.test", receiver.port)]
    assert trap.connections == 0


async def test_a_name_that_turns_private_is_blocked(make_sender: MakeSender) -> None:
    # Wrapped, the address is not one development allows, but it leads to the listener.
    names = Names(["127.0.0.1"], ["::ffff:127.0.0.1"])
    async with (
        serving(reply(NO_CONTENT)) as receiver,
        serving(reply(NO_CONTENT)) as trap,
    ):
        sender = make_sender(resolver=names)
        first = await send(sender, receiver.url(host="hook.test"))
        second = await send(sender, trap.url(host="hook.test"))
    assert (first.error, second.error) == (None, "blocked")
    assert trap.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1", "10.0.0.1"],
        ["93.184.216.34", "169.254.169.254"],
        ["93.184.216.34", "fd00:ec2::254"],
        ["::ffff:127.0.0.1"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::7f00:1"],
        ["64:ff9b:1::7f00:1"],
        ["2002:7f00:1::"],
        ["::127.0.0.1"],
        ["fe80::1%lo"],
        ["100.64.0.1"],
        ["0.0.0.0"],
        ["not an address"],
    ],
)
@pytest.mark.parametrize("development", [True, False])
async def test_one_private_address_refuses_the_name(
    make_sender: MakeSender, addresses: list[str], development: bool
) -> None:
    sender = make_sender(development, resolver=Names(addresses))
    answer = await send(sender, "https://hook.test/", timeout=0.5)
    assert (answer.status_code, answer.error) == (None, "blocked")
    assert answer.detail == "the host does not lead to a public address"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"],
)
@pytest.mark.parametrize("unchecked", [False, True], ids=["checked", "unchecked"])
async def test_production_does_not_reach_this_machine(
    make_sender: MakeSender,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    unchecked: bool,
) -> None:
    """Neither by the URL's form nor, were that check to fail, by its address."""
    if unchecked:
        monkeypatch.setattr(Guard, "check", lambda *_: None)
    async with serving(reply(NO_CONTENT)) as trap:
        sender = make_sender(False, ports=frozenset({trap.port}))
        for scheme in ("http", "https"):
            url = trap.url(host=host).replace("http", scheme, 1)
            assert (await send(sender, url)).error == "blocked"
    assert trap.connections == 0


async def test_development_reaches_loopback_only(make_sender: MakeSender) -> None:
    sender = make_sender()
    async with serving(reply(NO_CONTENT)) as receiver:
        for host in ("127.0.0.1", "localhost", "LOCALHOST"):
            assert (await send(sender, receiver.url(host=host))).error is None
        for host in ("10.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "169.254.169.254"):
            assert (await send(sender, receiver.url(host=host))).error == "blocked"
    assert len(receiver.hits) == 3


async def test_a_name_without_address(make_sender: MakeSender) -> None:
    async def away(host: str, port: int) -> Sequence[str]:
        raise OSError("SERVFAIL from 10.0.0.53")

    for resolver in (away, Names([])):
        answer = await send(make_sender(resolver=resolver), "https://hook.test/")
        assert (answer.status_code, answer.error) == (None, "dns")
        assert "10.0.0.53" not in answer.detail


async def test_the_deadline_holds_for_names_too(make_sender: MakeSender) -> None:
    async def slow(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(3600)
        return []

    sender = make_sender(resolver=slow)
    answer = await send(sender, "https://hook.test/", timeout=0.3)
    assert (answer.error, answer.duration_ms < 2000) == ("timeout", True)


async def test_the_next_address_is_tried(make_sender: MakeSender) -> None:
    async with serving(reply(NO_CONTENT), host="127.0.0.2") as receiver:
        sender = make_sender(resolver=Names(["127.0.0.1", "127.0.0.2"]))
        answer = await send(sender, receiver.url(host="hook.test"))
    assert answer.error is None


async def test_a_host_with_an_ipv6_address_only(make_sender: MakeSender) -> None:
    async with serving(reply(NO_CONTENT), host="::1") as receiver:
        sender = make_sender(resolver=Names(["::1"]))
        for host in ("hook.test", "[::1]"):
            assert (await send(sender, receiver.url(host=host))).error is None
    assert receiver.head()["host"] == f"[::1]:{receiver.port}"


@pytest.mark.parametrize("port", ["", ":80", ":444", ":8443", ":65535"])
async def test_no_name_is_asked_for_at_a_port_that_is_closed(
    make_sender: MakeSender, port: str
) -> None:
    names = Names(["93.184.216.34"])
    sender = make_sender(False, resolver=names, ports=frozenset({8080}))
    answer = await send(sender, f"https://hook.test{port}/")
    assert (answer.error, names.asked) == ("blocked", [])


async def test_a_proxy_of_the_environment_is_not_used(
    make_sender: MakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(reply(NO_CONTENT)) as receiver,
        serving(reply(NO_CONTENT)) as trap,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, trap.url(""))
            monkeypatch.setenv(name.lower(), trap.url(""))
        assert (await send(make_sender(), receiver.url())).error is None
    assert (len(receiver.hits), trap.connections) == (1, 0)


async def test_the_guard_judges_all_that_was_found() -> None:
    guard = Guard(development=False, resolver=Names(["8.8.8.8", "1.1.1.1"]))
    assert await guard.addresses("hook.test", 443) == ["8.8.8.8", "1.1.1.1"]
    assert await guard.addresses("9.9.9.9", 443) == ["9.9.9.9"]
    with pytest.raises(Blocked):
        await guard.addresses("127.0.0.1", 443)
    with pytest.raises(Unresolved):
        await Guard(development=False).addresses("a" * 70, 443)


async def test_the_system_resolves_localhost() -> None:
    assert "127.0.0.1" in await system_resolver("localhost", 80)


async def test_httpx_connects_through_the_guard_only() -> None:
    """`_pool` and `_network_backend` are private: this fails when they move."""
    assert version("httpx").startswith("0.28.")
    sender = HttpxSender(development=False, tls=ssl.create_default_context())
    backend = sender._transport._pool._network_backend
    assert isinstance(backend, JudgedConnections)
    await sender.close()
