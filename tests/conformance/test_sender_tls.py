"""TLS of every sender: whose name is asked for, which certificates pass, for how long."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.conftest import Certified, MakeSender, certify
from tests.conformance.raw_receiver import (
    NO_CONTENT,
    RawReceiver,
    hang,
    outgoing,
    reply,
    serving,
)
from workers.webhooks.sender import Answer, Sender


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def post(sender: Sender, url: str) -> Answer:
    return await sender.send(outgoing(url))


def https(receiver: RawReceiver, host: str) -> str:
    return receiver.url(host=host).replace("http:", "https:")


async def test_tls_is_checked_against_the_name(
    make_sender: MakeSender, certified: Certified
) -> None:
    asked: list[str | None] = []
    certified.server.sni_callback = lambda _, name, __: asked.append(name)
    async with serving(reply(NO_CONTENT), tls=certified.server) as receiver:
        sender = make_sender(resolver=loopback, tls=certified.client)
        right = await post(sender, https(receiver, "hook.test"))
        wrong = await post(sender, https(receiver, "other.test"))
        literal = await post(sender, https(receiver, "127.0.0.1"))
    assert (right.status_code, right.error) == (204, None)
    assert (wrong.error, literal.error) == ("tls", "tls")
    assert asked[:2] == ["hook.test", "other.test"]
    assert "other.test" in wrong.detail
    assert len(receiver.hits) == 1


async def test_a_stranger_authority_is_refused(
    make_sender: MakeSender, certified: Certified
) -> None:
    async with serving(reply(NO_CONTENT), tls=certified.server) as receiver:
        sender = make_sender(resolver=loopback)
        answer = await post(sender, https(receiver, "hook.test"))
    assert (answer.error, receiver.hits) == ("tls", [])
    assert answer.detail == "the certificate was refused: self-signed certificate"


async def test_no_tls_on_the_other_side(make_sender: MakeSender) -> None:
    async def chatter(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 400 this is http\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(chatter, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await post(make_sender(), f"https://localhost:{port}/")
    server.close()
    assert (answer.error, answer.detail) == (
        "tls",
        "no TLS connection could be agreed on",
    )


@pytest.mark.parametrize(
    ("days", "named", "detail"),
    [
        ((-9, -1), True, "certificate has expired"),
        ((1, 9), True, "certificate is not yet valid"),
        ((-1, 9), False, "Hostname mismatch"),  # its subject alone says so
    ],
)
async def test_a_certificate_that_says_something_else(
    make_sender: MakeSender,
    tmp_path: Path,
    days: tuple[int, int],
    named: bool,
    detail: str,
) -> None:
    odd = certify(tmp_path, "hook.test", days=days, is_named=named)
    async with serving(reply(NO_CONTENT), tls=odd.server) as receiver:
        sender = make_sender(resolver=loopback, tls=odd.client)
        answer = await post(sender, https(receiver, "hook.test"))
    assert (answer.error, receiver.hits) == ("tls", [])
    assert detail in answer.detail


async def test_the_deadline_holds_for_the_handshake_too(sender: Sender) -> None:
    async with serving(hang) as receiver:
        request = outgoing(https(receiver, "localhost"), timeout=0.3)
        answer = await sender.send(request)
    assert (answer.error, answer.duration_ms < 2000) == ("timeout", True)
