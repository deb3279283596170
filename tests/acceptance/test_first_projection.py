"""docs/first_projection.md, done: its files in a copy of the project, run by a worker."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg

from domain.application import Log
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.support.builders import SECRET_KEYS, a_tenant, an_entry
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "first_projection.md"
LAYERS = ("domain", "projections", "workers", "migrations")
FILE = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
REGISTRY = re.compile(r"## 4\. .*?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
STREAMS = "from projections.log.streams import Streams\n"


def copied(folder: Path) -> Path:
    """The project with the document's files in it."""
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, folder / layer)
    text = DOCUMENT.read_text("utf-8")
    files = FILE.findall(text)
    assert len(files) == 3
    for name, content in files:
        (folder / name).write_text(content, "utf-8")
    [lines] = REGISTRY.findall(text)
    imports, _, listed = lines.partition("\n\n")
    registry = folder / "projections" / "registry.py"
    source = registry.read_text("utf-8").replace(STREAMS, imports + "\n")
    registry.write_text(re.sub(r"^REBUILDABLE.*\n", listed, source, flags=re.MULTILINE))
    return folder


def daybook(folder: Path, url: str, *arguments: str) -> subprocess.Popen[bytes]:
    """The copy's own command."""
    code = "import sys; sys.path[0] = sys.argv.pop(1); from workers.cli import main; main()"
    environ = os.environ | {
        "DAYBOOK_DATABASE_URL": url,
        "DAYBOOK_SECRET_KEYS": SECRET_KEYS,
    }
    command = [sys.executable, "-c", code, str(folder), *arguments]
    return subprocess.Popen(command, cwd=folder, env=environ)


def test_the_documents_projection_counts_and_is_rebuilt(
    database_url: str, application: Log, appender: Appender, tmp_path: Path
) -> None:
    folder = copied(tmp_path / "copy")
    tenant_id = a_tenant(application)
    for _ in range(7):
        appender.submit(Request([an_entry(tenant_id)]))
    assert daybook(folder, database_url, "migrate").wait(60) == 0
    worker = daybook(folder, database_url, "work")
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:

            def counted() -> list[tuple[int, int]]:
                """Generation and count of what was published."""
                return connection.execute(
                    "select generation, events::int from daybook.daily_counts"
                    " where type = 'crane.inspected' and generation ="
                    " (select generation from daybook.checkpoints"
                    " where name = 'daily_counts')"
                ).fetchall()

            eventually(lambda: counted() == [(1, 7)], 30)
            connection.execute(
                "insert into daybook.rebuilds"
                " (rebuild_id, name, version, state, target, asked_by)"
                " values (%s, 'daily_counts', 1, 'running', 0, 'test')",
                (uuid4(),),
            )
            eventually(lambda: counted() == [(2, 7)], 30)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
