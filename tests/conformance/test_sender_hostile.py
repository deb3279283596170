"""What every sender answers to receivers that hang, drip, flood, lie or are away."""

import asyncio
import gzip
import socket

import pytest
from structlog.testing import capture_logs

from tests.conformance.raw_receiver import (
    OK,
    answer_to,
    hang,
    outgoing,
    repeat,
    reply,
    serving,
)
from workers.webhooks.aiohttp_sender import AiohttpSender
from workers.webhooks.sender import Sender


async def test_nobody_listens(sender: Sender) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = await sender.send(outgoing(f"http://127.0.0.1:{port}/"))
    assert (answer.status_code, answer.error) == (None, "connect")
    assert str(port) not in answer.detail
    assert "127" not in answer.detail


async def test_a_hanging_receiver_times_out(sender: Sender) -> None:
    async with serving(hang) as receiver:
        answer = await sender.send(outgoing(receiver.url(), timeout=0.3))
    assert (answer.status_code, answer.error) == (None, "timeout")
    assert answer.detail == "no answer within 0.3 s"
    assert 290 < answer.duration_ms < 2000


async def test_the_deadline_holds_for_the_body_too(sender: Sender) -> None:
    drip = repeat(OK + b"Content-Length: 1000\r\n\r\n", b"x", pause=0.05)
    async with serving(drip) as receiver:
        answer = await sender.send(outgoing(receiver.url(), timeout=0.3))
        await asyncio.wait_for(receiver.left.wait(), 5)
    assert (answer.status_code, answer.error) == (200, "timeout")
    assert answer.duration_ms < 2000


async def test_the_deadline_holds_for_headers_too(sender: Sender) -> None:
    async with serving(repeat(OK, b"X-A: b\r\n", pause=0.05)) as receiver:
        answer = await sender.send(outgoing(receiver.url(), timeout=0.3))
    assert (answer.status_code, answer.error) == (None, "timeout")


async def test_the_deadline_holds_for_interim_answers_too(sender: Sender) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with serving(repeat(hint, hint, pause=0.01)) as receiver:
        answer = await sender.send(outgoing(receiver.url(), timeout=0.3))
    assert (answer.status_code, answer.error) == (None, "timeout")


async def test_another_protocol_is_no_success(sender: Sender) -> None:
    switch = b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    assert (await answer_to(sender, switch)).error is not None


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\nok", 204),
        (b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 204),
        (OK + b"Content-Length: 2\r\n\r\nokay", 200),
        (OK + b"Content-Length: 2\r\n\r\nok\r\n", 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore", 200),
    ],
)
async def test_a_whole_answer_counts_whatever_stands_behind_it(
    sender: Sender, raw: bytes, status: int
) -> None:
    answer = await answer_to(sender, raw)
    assert (answer.status_code, answer.error) == (status, None)
    assert answer.response_bytes == (0 if status == 204 else 2)


@pytest.mark.parametrize("more", [b"HTTP/1.1 500 X\r\n\r\n", OK + b"\r\n", b"x"])
async def test_what_follows_an_answer_answers_nothing_else(more: bytes) -> None:
    """httpx believes it; so it is not the sender in use."""
    first = b"HTTP/1.1 202 X\r\nContent-Length: 2\r\n\r\nok"
    async with serving(reply(first + more)) as receiver:
        sender = AiohttpSender(development=True)
        for _ in range(3):
            answer = await sender.send(outgoing(receiver.url()))
            assert answer.status_code in {202, None}
        await sender.close()
    assert receiver.connections == 3


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"Content-Length: 999999999999\r\n\r\n", b"x" * 4096),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        (b"Connection: close\r\n\r\n", b"x" * 4096),
    ],
)
async def test_an_endless_body_is_cut_off(
    sender: Sender, head: bytes, piece: bytes
) -> None:
    async with serving(repeat(OK + head, piece)) as receiver:
        answer = await sender.send(outgoing(receiver.url()))
        await asyncio.wait_for(receiver.left.wait(), 5)
    assert (answer.status_code, answer.error) == (200, None)
    assert (answer.response_bytes, answer.snippet) == (64 * 1024, b"x" * 1024)


async def test_a_packed_answer_stays_packed(sender: Sender) -> None:
    bomb = gzip.compress(bytes(50_000_000))[:60_000]
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    answer = await answer_to(sender, OK + head + bomb)
    assert (answer.error, answer.response_bytes) == (None, len(bomb))
    assert answer.snippet == bomb[:1024]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200",
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x00\x02\x02\x28" * 20,
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Filler: abcdefgh\r\n" * 20_000 + b"\r\n",
    ],
    ids=lambda raw: repr(raw[:24]),
)
async def test_no_http_is_a_reset(sender: Sender, raw: bytes) -> None:
    with capture_logs() as logs:
        answer = await answer_to(sender, raw)
    assert (answer.status_code, answer.error, logs) == (None, "reset", [])


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 10\r\n\r\nhalf",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
    ],
)
async def test_half_a_body_is_a_reset(sender: Sender, raw: bytes) -> None:
    answer = await answer_to(sender, raw)
    assert answer.error == "reset"
    # When all came in one packet, a client may find the fault before it has told us.
    assert answer.status_code in {200, None}
