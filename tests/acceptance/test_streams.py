"""docs/streams.md: its programs and commands run as they stand there, killed in between."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.documents import blocks, commands
from tests.support.processes import Product, expect, product
from tests.support.source import ROOT
from tests.support.waiting import eventually

DOCUMENT = ROOT / "docs" / "streams.md"
CONSUMER = "/api/v1/consumers/payroll"


@pytest.fixture
def running(database_url: str, tmp_path: Path) -> Iterator[Product]:
    """An API process."""
    with product(database_url, tmp_path) as made:
        made.serve()
        yield made


def program(words: str) -> str:
    """The program of the document that has these words in it."""
    [code] = [
        block.text
        for block in blocks("python")
        if block.path == DOCUMENT and words in block.text
    ]
    return code


def command(words: str) -> tuple[str, str, dict[str, str], str | None]:
    """Its curl command with these words: method, URL, headers, body; unexpanded."""
    [found] = [
        line
        for block in blocks("sh")
        if block.path == DOCUMENT
        for line in commands(block.text)
        if line[0] == "curl" and any(words in word for word in line)
    ]
    options = list(pairwise(found))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    method = dict(options).get("-X", "GET")
    [url] = [word for word in found if word.startswith("$")]
    return method, url, headers, dict(options).get("-d")


class Follower:
    """A program of the document, and what it prints."""

    def __init__(self, code: str, made: Product, key: str, folder: Path) -> None:
        script, self.printed = folder / "program.py", folder / "printed"
        script.write_text(code, "utf-8")
        environ = {"DAYBOOK_API_URL": made.api_url, "DAYBOOK_API_KEY": key}
        with self.printed.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-I", script],
                env=os.environ | environ,
                stdout=output,
                stderr=subprocess.DEVNULL,
            )

    def lines(self) -> list[str]:
        """What it has printed so far."""
        return self.printed.read_text("utf-8").splitlines()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def key(running: Product) -> str:
    """A tenant's key."""
    return running.tenant()[1]


@pytest.fixture
def client(running: Product, key: str) -> Iterator[httpx.Client]:
    with running.client(key) as made:
        yield made


def expanded(text: str, made: Product, key: str) -> str:
    """A word of a command as the shell would have it."""
    return text.replace("$DAYBOOK_API_URL", made.api_url).replace(
        "$DAYBOOK_API_KEY", key
    )


def curl(made: Product, key: str, words: str) -> Any:
    """What the document's command is answered."""
    method, url, headers, body = command(words)
    headers = {name: expanded(value, made, key) for name, value in headers.items()}
    url = expanded(url, made, key)
    with httpx.stream(
        method, url, headers=headers, content=body, trust_env=False, timeout=10
    ) as response:
        assert response.is_success, response.read()
        if "json" in response.headers["Content-Type"]:
            response.read()
            return response.json()
        lines = response.iter_lines()
        return next(line for line in lines if line.startswith("data: "))


def publish(client: httpx.Client, minutes: int) -> int:
    event = {"type": "heures.validated", "data": {"minutes": minutes}}
    return int(expect(client.post("/api/v1/events", json=event), 202)["position"])


def test_curl_sees_events(running: Product, key: str, client: httpx.Client) -> None:
    position = publish(client, 480)
    assert f'"position":{position},' in curl(running, key, "sse")


def test_the_websocket_prints_events(
    running: Product, key: str, client: httpx.Client, tmp_path: Path
) -> None:
    first = publish(client, 480)
    follower = Follower(program("aiohttp"), running, key, tmp_path)
    try:
        eventually(lambda: follower.lines() == [f"{first} heures.validated"])
        second = publish(client, 60)
        expected = [f"{one} heures.validated" for one in (first, second)]
        eventually(lambda: follower.lines() == expected)
    finally:
        follower.kill()


def test_a_consumer_goes_on_where_it_was_however_it_and_the_api_end(
    running: Product, key: str, client: httpx.Client, tmp_path: Path
) -> None:
    made = curl(running, key, "consumers/payroll")
    assert (made["name"], made["position"]) == ("payroll", 0)
    code = program("httpx")
    seen: list[str] = []
    for killed in (False, True, False):
        wanted = [publish(client, minutes) for minutes in (480, 0, 60)][::2]
        expected = [
            f"{position} {{'minutes': {minutes}}}"
            for position, minutes in zip(wanted, (480, 60), strict=True)
        ]
        follower = Follower(code, running, key, tmp_path)
        try:
            eventually(lambda f=follower, e=expected: f.lines() == e)
            eventually(lambda last=wanted[-1]: place(client) >= last)
        finally:
            follower.kill()
        if killed:  # what it was told is acknowledged stays so
            before = place(client)
            [api] = running.processes
            api.kill()
            api.start()
            running.wait_until_ready()
            assert place(client) == before
        seen += expected
    assert len(set(seen)) == 6


def place(client: httpx.Client) -> int:
    """How far the consumer is."""
    return int(expect(client.get(CONSUMER), 200)["position"])
