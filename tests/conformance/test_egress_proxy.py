"""Every sender through an egress proxy: the guard stands before it, TLS goes through it."""

import functools
from collections.abc import AsyncIterator

import pytest

from tests.conformance.conftest import Certified, MakeSender
from tests.conformance.raw_receiver import NO_CONTENT, outgoing, reply, serving
from tests.support.proxying import ToldProxy, proxying
from workers.webhooks.egress_proxy import EgressProxy, parse
from workers.webhooks.sender import Answer, Sender


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def post(sender: Sender, url: str, timeout: float = 5.0) -> Answer:
    return await sender.send(outgoing(url, timeout=timeout))


@pytest.fixture
async def proxy() -> AsyncIterator[ToldProxy]:
    async with proxying() as running:
        yield running


@pytest.fixture
def make(make_sender: MakeSender, proxy: ToldProxy) -> MakeSender:
    """A sender that goes through the proxy."""
    through = parse(f"http://dave:p%40ss@127.0.0.1:{proxy.port}")
    return functools.partial(make_sender, proxy=through)


async def test_the_proxy_is_asked_for_the_judged_address(
    make: MakeSender, proxy: ToldProxy, certified: Certified
) -> None:
    sender = make(resolver=loopback, tls=certified.client)
    async with serving(reply(NO_CONTENT), tls=certified.server) as receiver:
        url = receiver.url(host="hook.test").replace("http:", "https:")
        answers = [await post(sender, url) for _ in range(2)]
        wrong = await post(sender, url.replace("hook.test", "other.test"))
    assert [answer.status_code for answer in answers] == [204, 204]
    assert (wrong.error, len(receiver.hits)) == ("tls", 2)
    assert proxy.places == [f"127.0.0.1:{receiver.port}"] * 2  # kept for the second
    assert proxy.asked[0] == [
        f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1",
        f"Host: 127.0.0.1:{receiver.port}",
        "Proxy-Authorization: Basic ZGF2ZTpwQHNz",
    ]


async def test_an_ipv6_address_without_tls(make: MakeSender, proxy: ToldProxy) -> None:
    async with serving(reply(NO_CONTENT), host="::1") as receiver:
        answer = await post(make(), receiver.url(host="[::1]"))
    assert (answer.error, proxy.places) == (None, [f"[::1]:{receiver.port}"])
    assert "proxy-authorization" not in receiver.head()


@pytest.mark.parametrize("development", [True, False])
async def test_the_guard_stands_before_it(
    make: MakeSender, proxy: ToldProxy, development: bool
) -> None:
    async def inside(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    sender = make(development, resolver=inside)
    for host in ("hook.test", "10.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254"):
        assert (await post(sender, f"https://{host}/")).error == "blocked"
    assert (await post(sender, "https://hook.test:22/")).error == "blocked"
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "blocked"),
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "connect"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "connect"),
        (b"HTTP/1.1 2", "connect"),
        (b"garbage\r\n\r\n", "connect"),
        (b"HTTP/1.1 204 X\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "connect"),
        (b"HTTP/1.1 204 X\r\n" + b"X: y\r\n" * 2000, "connect"),
        (b"", "connect"),
        (None, "timeout"),
    ],
)
async def test_a_proxy_that_does_not_connect(
    make: MakeSender, proxy: ToldProxy, answer: bytes | None, error: str
) -> None:
    proxy.answer = answer
    async with serving(reply(NO_CONTENT)) as receiver:
        seen = await post(make(), receiver.url(), timeout=0.5 if answer is None else 5)
    assert (seen.status_code, seen.error) == (None, error)
    assert receiver.connections == 0
    assert str(proxy.port) not in seen.detail


async def test_a_proxy_that_is_away(make_sender: MakeSender) -> None:
    sender = make_sender(proxy=EgressProxy("127.0.0.1", 1))
    async with serving(reply(NO_CONTENT)) as receiver:
        assert (await post(sender, receiver.url())).error == "connect"
    assert receiver.connections == 0


def test_where_a_proxy_is() -> None:
    assert parse("http://proxy.inside:4750") == ("proxy.inside", 4750, None)
    assert parse("http://[fd00::1]:4750/").host == "fd00::1"
    for url in (
        "proxy:1",
        "https://proxy:1",
        "http://proxy",
        "http://a b:1",
        "",
        "http",
    ):
        with pytest.raises(ValueError, match="http://host:port"):
            parse(url)
