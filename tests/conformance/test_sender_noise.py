"""Every sender before receivers that answer with pieces of HTTP in any order."""

import asyncio
import random

import pytest
from structlog.testing import capture_logs

from tests.conformance.raw_receiver import outgoing, serving
from workers.webhooks.exchange import BODY_CAP, HEADER_CAP, HEADERS_CAP, SNIPPET_CAP
from workers.webhooks.sender import Answer, Sender

PIECES = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 X\r\n", b"HTTP/1.1 100 X\r\n",
    b"HTTP/1.0 500\r\n",
    b"HTTP/1.1 301 X\r\nLocation: http://127.0.0.1:1/\r\n", b"HTTP/2 200\r\n", b"HTTP/1.1 ",
    b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length:\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Encoding: br\r\n", b"Connection: close\r\n", b"Upgrade: websocket\r\n",
    b"Retry-After: -1\r\n", b"Set-Cookie: a=b\r\n", b"X: \xff\xfe\x00\r\n", b" folded\r\n",
    b"\r\n", b"\r\n\r\n", b"\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"fffffffffffffffff\r\n",
    b"hello", b"\x00" * 40, b"\x16\x03\x01", b"x" * 70_000, b"X-Y: z\r\n" * 200,
]  # fmt: skip
ROUNDS = 150


def packets(chance: random.Random) -> list[bytes]:
    """An answer of some pieces; most begin as one does."""
    pieces = [chance.choice(PIECES) for _ in range(chance.randrange(8))]
    if chance.random() < 0.7:
        pieces.insert(0, chance.choice(PIECES[:5]))
    whole = b"".join(pieces)
    cut = chance.randrange(len(whole) + 1)
    return [whole[:cut], whole[cut:]]


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_comes_is_an_answer_in_time(sender: Sender, seed: int) -> None:
    chance = random.Random(seed)

    async def script(writer: asyncio.StreamWriter) -> None:
        for packet in packets(chance):
            writer.write(packet)
            await writer.drain()
        writer.close()

    with capture_logs() as logs:
        async with serving(script) as receiver:
            request = outgoing(receiver.url(), timeout=5.0)
            answers = [await sender.send(request) for _ in range(ROUNDS)]
    assert [log for log in logs if log["log_level"] == "error"] == []
    assert {answer.error for answer in answers} >= {None, "reset"}
    for answer in answers:
        check(answer)


def check(answer: Answer) -> None:
    assert answer.error != "timeout", answer
    assert answer.error in {None, "reset", "status", "redirect", "connect"}, answer
    assert (answer.error is None) <= (200 <= (answer.status_code or 0) < 300), answer
    assert answer.response_bytes <= BODY_CAP
    assert len(answer.snippet) <= SNIPPET_CAP
    assert len(answer.response_headers) <= HEADERS_CAP
    assert all(len(value) <= HEADER_CAP for value in answer.response_headers.values())
