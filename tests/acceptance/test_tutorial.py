"""docs/tutorial/incidents.md, done: its files in a folder, its commands in a shell."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.architecture.test_examples import is_open
from tests.support.documents import blocks
from tests.support.network import free_port
from tests.support.processes import (
    DAYBOOK,
    Product,
    expect,
    product,
)
from tests.support.source import ROOT, Module
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "tutorial" / "incidents.md"
FILE = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONTEXT = "incidents.context:CONTEXT"
PRINTED = "until grep -q ALARM printed; do sleep 0.05; done\n"
PORT = "9200"  # the receiver's, on the page; here a free one takes its place
ENV = 'eval "$(python3 start.py env)"\n'
# The page's receiver, where the page says to start it.
RECEIVER = """
timeout 60 "$PYTHON" incidents/receiver.py > printed & trap "kill $!" EXIT
curl -s -o /dev/null --retry 50 --retry-connrefused --retry-delay 0 http://127.0.0.1:$PORT/
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the page's files."""
    found = FILE.findall(PAGE.read_text("utf-8"))
    assert len(found) == 11
    for name, content in found:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return tmp_path


@pytest.fixture
def made(database_url: str, folder: Path) -> Iterator[Product]:
    """The product with the page's context."""
    settings = {"DAYBOOK_CONTEXTS": CONTEXT, "PYTHONPATH": str(folder)}
    with product(database_url, folder, settings) as running:
        yield running


def test_the_page_builds_the_incidents_module(made: Product, folder: Path) -> None:
    migrate(made)
    made.work()
    made.serve()
    _, key = made.tenant()
    eventually(lambda: is_at_work(made), 30)
    answers = typed(made, folder, key)
    assert (folder / "printed").read_text() == "ALARM Crack in the north wall\n"
    webhook, lamp, crack, critical, closed, stream, catalogue = answers
    assert webhook["state"] == "active"
    assert critical == {"data": [crack]} and crack["priorite"] == "critique"
    assert closed == lamp | {"statut": "clos"}
    assert [event["type"] for event in stream["data"]] == [
        "signalement.created",
        "signalement.closed",
    ]
    assert "chantier_id" in catalogue["schema"]["required"]
    with made.client(key) as client:
        refuses(client, lamp["signalement_id"])
        rebuilds(made, client)


def is_at_work(made: Product) -> bool:
    """Whether a worker posts to the board; it may be slower to start than the API."""
    with psycopg.connect(made.database_url) as connection:
        query = "select log_position from daybook.checkpoints where name = 'incidents'"
        row = connection.execute(query).fetchone()
    return row is not None and row[0] > 0


def typed(made: Product, folder: Path, key: str) -> list[Any]:
    """What the page's commands answer, typed one after the other."""
    first, *rest = [block.text for block in blocks("sh") if block.path == PAGE]
    assert ENV in first
    script = (
        "set -euo pipefail\n"
        + first.replace(ENV, "")
        + RECEIVER
        + "".join(rest)
        + PRINTED
    )
    environ = os.environ | {
        "DAYBOOK_API_URL": made.api_url,
        "DAYBOOK_API_KEY": key,
        "NO_PROXY": "127.0.0.1",
        "PYTHON": sys.executable,
    }
    answered = subprocess.run(
        ["bash", "-c", script.replace(PORT, str(free_port()))],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert answered.returncode == 0, answered.stdout
    return several(answered.stdout.decode())


def several(text: str) -> list[Any]:
    """JSON after JSON."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def refuses(client: httpx.Client, lamp: str) -> None:
    """What the page says is refused."""
    body = {"ferme_par": "chef_2", "resolution": "Again"}
    again = client.post(f"/api/v1/signalements/{lamp}/cloturer", json=body)
    assert expect(again, 422)["detail"] == "the incident was closed by chef_1"
    event = {"type": "signalement.closed", "data": {"signalement_id": lamp}}
    forged = client.post("/api/v1/events", json=event)
    assert expect(forged, 422)["code"] == "type_reserved"


def rebuilds(made: Product, client: httpx.Client) -> None:
    """The board, after somebody spoiled it."""
    head = client.get("/api/v1/events?order=desc&limit=1").json()["position"]
    board = f"/api/v1/signalements?at_least={head}"
    before = client.get(board).json()
    with psycopg.connect(made.database_url, autocommit=True) as connection:
        connection.execute("update daybook.incidents set titre = 'spoilt'")
    assert client.get(board).json() != before
    tenant = client.get("/api/v1/me").json()["tenant"]["id"]
    with made.operator() as operator:
        assert "differ" in rebuilt(operator, {})["error"]
        assert rebuilt(operator, {"tenant_id": tenant})["error"] is None
    assert client.get(board).json() == before


def rebuilt(operator: httpx.Client, body: dict[str, str]) -> Any:
    """A rebuild that has ended."""
    path = "/api/v1/projections/incidents/rebuild"
    expect(operator.post(path, json=body), 202)

    def ended() -> Any:
        found = operator.get(path).json()
        return found if found["finished_at"] else None

    return eventually(ended)


def migrate(made: Product) -> None:
    """As `dev` does it."""
    environ = os.environ | {"DAYBOOK_DATABASE_URL": made.database_url} | made.settings
    subprocess.run([DAYBOOK, "migrate"], env=environ, timeout=60, check=True)


def test_it_imports_what_the_documentation_names(folder: Path) -> None:
    files = [Module(path) for path in sorted(folder.rglob("*.py"))]
    others = {"incidents", "pytest", "standardwebhooks"}
    wrong = [
        f"{file.path.name}: {name}"
        for file in files
        for name in sorted(file.imports)
        if not is_open(name) and name.partition(".")[0] not in others
    ]
    assert wrong == [] and len(files) > 5


def test_the_rules_hold_without_a_database(folder: Path) -> None:
    # In a process of its own, as topics are one's for good: another example has these too.
    command = [sys.executable, "-m", "pytest", "-q", "incidents"]
    environ = os.environ | {"PYTHONPATH": str(folder)}
    told = subprocess.run(
        command, cwd=folder, env=environ, timeout=60, check=False, capture_output=True
    )
    assert b"2 passed" in told.stdout, told.stdout
