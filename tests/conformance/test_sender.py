"""What every sender sends, and what it answers to receivers that mean well."""

import asyncio

import pytest

from tests.conformance.conftest import MakeSender
from tests.conformance.raw_receiver import (
    NO_CONTENT,
    OK,
    answer_to,
    hang,
    outgoing,
    reply,
    reply_and_close,
    serving,
)
from workers.webhooks.sender import Sender


async def test_2xx_is_success(sender: Sender) -> None:
    raw = OK + b"Content-Length: 5\r\nX-Trace: abc\r\n\r\nhello"
    async with serving(reply(raw)) as receiver:
        answer = await sender.send(outgoing(receiver.url()))
    assert (answer.status_code, answer.error, answer.detail) == (200, None, "200 OK")
    assert answer.response_headers == {"content-length": "5", "x-trace": "abc"}
    assert (answer.response_bytes, answer.snippet) == (5, b"hello")
    assert answer.retry_after is None
    assert 0 < answer.duration_ms < 5000


async def test_the_request_arrives_as_written(sender: Sender) -> None:
    async with serving(reply(NO_CONTENT)) as receiver:
        target = "/a%2Fb%20c/%7Ed;e?x=%2B&y=a+b&z"
        await sender.send(outgoing(receiver.url(target)))
        await sender.send(outgoing(receiver.url("?x=1")))
        await sender.send(outgoing(receiver.url("/réception")))
    starts = [hit.split(b" HTTP/1.1\r\n")[0].decode() for hit in receiver.hits]
    assert starts == [f"POST {target}", "POST /?x=1", "POST /r%C3%A9ception"]
    assert all(hit.endswith(b'\r\n\r\n{"a":1}') for hit in receiver.hits)
    assert receiver.head(0) == {
        "host": f"127.0.0.1:{receiver.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "webhook-id": "evt_1",
        "content-length": "7",
    }


async def test_the_callers_headers_win(sender: Sender) -> None:
    own = {"ACCEPT": "text/plain", "User-Agent": "Daybook/1", "X-Site": "Orléans"}
    async with serving(reply(NO_CONTENT)) as receiver:
        await sender.send(outgoing(receiver.url(), headers=own))
    head = receiver.head()
    assert head["accept"] == "text/plain"
    assert (head["user-agent"], head["x-site"]) == ("Daybook/1", "Orléans")
    assert "content-type" not in head


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
async def test_a_header_that_would_break_out_is_not_sent(
    sender: Sender, value: str
) -> None:
    async with serving(reply(NO_CONTENT)) as receiver:
        answer = await sender.send(outgoing(receiver.url(), headers={"X-A": value}))
    assert (answer.error, receiver.hits) == ("blocked", [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(sender: Sender, status: int) -> None:
    async with serving(reply(NO_CONTENT)) as trap:
        location = f"HTTP/1.1 {status} X\r\nLocation: {trap.url()}\r\n\r\n".encode()
        answer = await answer_to(sender, location)
    assert (answer.status_code, answer.error) == (status, "redirect")
    assert trap.connections == 0


@pytest.mark.parametrize(
    ("line", "error", "detail"),
    [
        ("202 Fine", None, "202 Accepted"),
        ("299 Own", None, "299"),
        (
            "304 Not Modified",
            "redirect",
            "304 Not Modified; redirects are not followed",
        ),
        ("400 Bad", "status", "400 Bad Request"),
        ("410 <script>", "gone", "410 Gone"),
        ("429 Too Many", "status", "429 Too Many Requests"),
        ("503 10.0.0.7 is down", "status", "503 Service Unavailable"),
        ("599 Own", "status", "599"),
    ],
)
async def test_the_status_decides_and_its_text_is_ours(
    sender: Sender, line: str, error: str | None, detail: str
) -> None:
    raw = f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode()
    answer = await answer_to(sender, raw)
    assert (answer.status_code, answer.error) == (int(line[:3]), error)
    assert answer.detail == detail


async def test_retry_after_is_handed_on(sender: Sender) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(60))
    raw = (
        b"HTTP/1.1 500 X\r\n" + many + b"Retry-After: 120\r\nContent-Length: 0\r\n\r\n"
    )
    answer = await answer_to(sender, raw)
    assert (answer.error, answer.retry_after) == ("status", "120")
    assert len(answer.response_headers) == 32


async def test_headers_are_capped_and_decoded(sender: Sender) -> None:
    raw = OK + b"X-Long: " + b"a" * 5000 + b"\r\nX-Odd: \xff\xe9\r\nX-Twice: 1\r\n"
    answer = await answer_to(sender, raw + b"X-Twice: 2\r\nContent-Length: 0\r\n\r\n")
    assert answer.response_headers["x-long"] == "a" * 1024
    assert answer.response_headers["x-odd"] == "\ufffd\ufffd"
    assert answer.response_headers["x-twice"] == "1, 2"


async def test_interim_answers_are_passed_over(sender: Sender) -> None:
    answer = await answer_to(sender, b"HTTP/1.1 103 Early Hints\r\n\r\n" + NO_CONTENT)
    assert (answer.status_code, answer.error) == (204, None)


async def test_connections_are_kept_and_hold_no_cookies(sender: Sender) -> None:
    cookie = b"HTTP/1.1 204 X\r\nSet-Cookie: a=b; Path=/\r\n\r\n"
    async with serving(reply(cookie)) as receiver:
        for _ in range(3):
            await sender.send(outgoing(receiver.url()))
    assert (len(receiver.hits), receiver.connections) == (3, 1)
    assert "cookie" not in receiver.head()


async def test_a_lost_request_is_not_sent_twice(sender: Sender) -> None:
    answers = [NO_CONTENT, b"", NO_CONTENT]

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(raw := answers.pop(0))
        if not raw:
            writer.close()

    async with serving(script) as receiver:
        errors = [(await sender.send(outgoing(receiver.url()))).error for _ in "123"]
    assert errors == [None, "reset", None]
    assert (len(receiver.hits), receiver.connections) == (3, 2)


async def test_a_connection_closed_meanwhile_is_not_used_again(sender: Sender) -> None:
    async with serving(reply_and_close(NO_CONTENT)) as receiver:
        for _ in range(3):
            answer = await sender.send(outgoing(receiver.url()))
            assert answer.error is None
            await asyncio.sleep(0.05)
    assert (len(receiver.hits), receiver.connections) == (3, 3)


async def test_many_at_once(make_sender: MakeSender) -> None:
    sender = make_sender(connections=20)
    async with serving(reply(NO_CONTENT)) as receiver:
        request = outgoing(receiver.url())
        answers = await asyncio.gather(*(sender.send(request) for _ in range(200)))
    assert {answer.error for answer in answers} == {None}
    assert len(receiver.hits) == 200
    assert receiver.connections <= 20


async def test_a_cancelled_send_stays_cancelled(sender: Sender) -> None:
    async with serving(hang) as receiver:
        task = asyncio.create_task(sender.send(outgoing(receiver.url())))
        while not receiver.hits:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
