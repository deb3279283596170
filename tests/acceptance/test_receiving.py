"""docs/receiving.md: each program runs as it stands there, and tells ours from forged."""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.application import Log
from domain.webhooks import signing
from projections.log.recorder import environment
from tests.support import node
from tests.support.builders import SECRET
from tests.support.delivering import (
    NEW_SECRET,
    finished,
    publish,
    rotate,
    rows,
    subscribe,
    working,
)
from tests.support.documents import Block, blocks
from tests.support.network import free_port
from tests.support.source import ROOT
from tests.support.waiting import eventually, soon

PAGE = ROOT / "docs" / "receiving.md"
PACKAGES = ROOT / "tests" / "support" / "receivers"
FLASK, PLAIN, ED25519 = (one for one in blocks("python") if one.path == PAGE)
[EXPRESS] = (one for one in blocks("js") if one.path == PAGE)
[SHELL] = (one for one in blocks("sh") if one.path == PAGE)
WHSEC = signing.format_secret(SECRET)


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    running = Log(environment(database_url, "daybook_app"))
    yield running
    await asyncio.to_thread(running.close)


@contextmanager
def running(command: list[str], folder: Path, secret: str = WHSEC) -> Iterator[str]:
    """The program, listening; its address."""
    port = str(free_port())
    environ = os.environ | {"WEBHOOK_SECRET": secret, "PORT": port}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(url), seconds=20)
        yield url
    finally:
        process.kill()
        process.communicate()


def answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def shell(url: str, secret: str) -> str:
    """What the page's own request is answered."""
    environ = os.environ | {"WEBHOOK_SECRET": secret, "PORT": url.rpartition(":")[2]}
    command = ["sh", "-c", SHELL.text]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True
    ).stdout.strip()


async def believes_us(url: str, database_url: str, log: Log, tenant_id: UUID) -> None:
    """It takes what Daybook sends and what the shell signs, and no forgery."""
    await subscribe(log, tenant_id, f"{url}/hook")
    async with working(database_url):
        await publish(log, tenant_id, 3)
        await soon(finished(database_url, 3))
    states = await rows(database_url, "select state from daybook.results")
    assert {row.state for row in states} == {"succeeded"}
    forged = signing.format_secret(b"somebody else's secret, as long")
    assert await asyncio.to_thread(shell, url, WHSEC) == "204"
    assert await asyncio.to_thread(shell, url, forged) == "400"


@pytest.mark.parametrize("program", [FLASK, PLAIN], ids=["flask", "standard library"])
async def test_python(
    program: Block, tmp_path: Path, database_url: str, log: Log, tenant_id: UUID
) -> None:
    (tmp_path / "receiver.py").write_text(program.text)
    with running([sys.executable, "receiver.py"], tmp_path) as url:
        await believes_us(url, database_url, log, tenant_id)


async def believes_both(
    url: str, newer: str, database_url: str, log: Log, tenant_id: UUID
) -> None:
    """While a secret and the one before overlap, who has either takes what is sent."""
    before = await rows(database_url, "select from daybook.results")
    for each in (url, newer):
        webhook_id = await subscribe(log, tenant_id, each, event_types=["crane.moved"])
        await asyncio.to_thread(rotate, log, tenant_id, webhook_id)
    async with working(database_url):
        await publish(log, tenant_id, type="crane.moved")
        await soon(finished(database_url, len(before) + 3))
    states = await rows(database_url, "select state from daybook.results")
    assert {row.state for row in states} == {"succeeded"}


async def test_node(
    tmp_path: Path, database_url: str, log: Log, tenant_id: UUID
) -> None:
    packages = await asyncio.to_thread(node.modules, PACKAGES)
    (tmp_path / "node_modules").symlink_to(packages)
    (tmp_path / "receiver.mjs").write_text(EXPRESS.text)
    program = [node.NODE, "receiver.mjs"]
    newer = signing.format_secret(NEW_SECRET)
    with running(program, tmp_path) as url, running(program, tmp_path, newer) as other:
        await believes_us(url, database_url, log, tenant_id)
        hooks = (f"{url}/hook", f"{other}/hook")
        await believes_both(*hooks, database_url, log, tenant_id)


def test_ed25519() -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    whpk = "whpk_" + base64.b64encode(public).decode()
    signature = base64.b64encode(private.sign(b"evt_1.17.{}")).decode()
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": "17",
        "webhook-signature": f"v1,AAAA v1a,{signature}",
    }
    program: dict[str, object] = {}
    exec(ED25519.text, program)  # the page's own code
    is_authentic = program["is_authentic"]
    assert callable(is_authentic)
    assert is_authentic(whpk, headers, b"{}")
    assert not is_authentic(whpk, headers, b"[]")
