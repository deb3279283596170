"""Clients that others' generators make from the document, used as they come.

A generator that leaves something out says so and goes on; here that is a failure.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.integration.http_api.conftest import Account
from tests.support import node
from tests.support.source import ROOT

PROGRAMS = ROOT / "tests" / "support" / "clients"


def check(account: Account, printed: str) -> None:
    """Whether what the program has seen is what there is."""
    seen: dict[str, Any] = json.loads(printed)
    events = account.get("/api/v1/events", type="hours.*")["data"]
    assert [event["data"] for event in events] == [{"minutes": 480}] * 3
    assert seen["events"] == [event["id"] for event in events]
    assert seen["published"] == events[0]["id"]
    [webhook] = account.get("/api/v1/webhooks")["data"]
    assert seen["webhooks"] == [seen["webhook"]] == [webhook["id"]]
    assert seen["refused"] == "invalid"


def test_a_client_in_python(
    account: Account, stranger: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "openapi.json").write_bytes(stranger.get("/openapi.json").content)
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    words = "generate --path openapi.json --output-path client --meta none"
    said = node.run(
        *(sys.executable, "-m", "openapi_python_client"),
        *(*words.split(), "--config", "config.yaml"),
        cwd=tmp_path,
    )
    assert said.strip() == "Generating client"
    shutil.copy(PROGRAMS / "main.py", tmp_path)
    program = (sys.executable, "main.py", account.server.url, account.key)
    check(account, node.run(*program, cwd=tmp_path))


def test_a_client_in_typescript(
    account: Account, stranger: httpx.Client, tmp_path: Path
) -> None:
    shutil.copytree(PROGRAMS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").symlink_to(node.modules(PROGRAMS))
    (tmp_path / "openapi.json").write_bytes(stranger.get("/openapi.json").content)
    scripts = {
        "openapi-ts": "node_modules/@hey-api/openapi-ts/bin/run.js",
        "tsc": "node_modules/typescript/bin/tsc",
    }
    said = node.run(node.NODE, scripts["openapi-ts"], cwd=tmp_path)
    assert "warn" not in said.lower()
    node.run(node.NODE, scripts["tsc"], cwd=tmp_path)  # what it means is checked, too
    program = (node.NODE, "built/main.js", account.server.url, account.key)
    check(account, node.run(*program, cwd=tmp_path))
