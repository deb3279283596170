"""README.md: its receiver runs as it stands there, and gets what its commands publish."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.curling import curl
from tests.support.documents import blocks, commands
from tests.support.processes import Product, product
from tests.support.source import ROOT
from tests.support.waiting import eventually

README = ROOT / "README.md"
MOST_LINES = 200
PORT = "9000"  # the receiver's, in the README; here a free one takes its place


def test_it_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) < MOST_LINES


@pytest.fixture
def port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


@pytest.fixture
def running(database_url: str, tmp_path: Path) -> Iterator[Product]:
    """The API and a worker, as `dev` would run them."""
    with product(database_url, tmp_path) as made:
        made.serve()
        made.work()
        yield made


def curls() -> list[list[str]]:
    """The words of each curl command, in order."""
    shell = [block.text for block in blocks("sh") if block.path == README]
    return [words for text in shell for words in commands(text) if words[0] == "curl"]


def test_the_receiver_prints_the_verified_event(
    running: Product, port: str, tmp_path: Path
) -> None:
    [code] = [block.text for block in blocks("python") if block.path == README]
    script, printed = tmp_path / "receiver.py", tmp_path / "printed"
    script.write_text(code.replace(PORT, port), "utf-8")
    _, key = running.tenant()
    variables = {"DAYBOOK_API_URL": running.api_url, "DAYBOOK_API_KEY": key}
    subscribe, publish, look = (
        [word.replace(PORT, port) for word in words] for words in curls()
    )

    webhook = curl(subscribe, variables)
    with printed.open("wb") as output:
        receiver = subprocess.Popen(
            [sys.executable, "-I", script],
            env=os.environ | {"WEBHOOK_SECRET": webhook["secret"]},
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        eventually(lambda: is_listening(port))
        event = curl(publish, variables)
        line = f"{event['position']} heures.validated {{'minutes': 480}}\n"
        eventually(lambda: printed.read_text() == line)
        delivery = eventually(lambda: succeeded(curl(look, variables)))
        assert delivery["event_id"] == event["id"]

        stranger = httpx.post(
            f"http://127.0.0.1:{port}/",
            content=b"{}",
            headers={
                "webhook-id": "evt_1",
                "webhook-timestamp": "1",
                "webhook-signature": "v1,x",
            },
            trust_env=False,
        )
        assert stranger.status_code == 401
        assert printed.read_text() == line
    finally:
        receiver.send_signal(signal.SIGKILL)
        receiver.wait()


def is_listening(port: str) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", int(port))) == 0


def succeeded(page: dict[str, Any]) -> dict[str, Any] | None:
    """The one delivery, once it has succeeded."""
    [delivery] = page["data"]
    return delivery if delivery["state"] == "succeeded" else None
