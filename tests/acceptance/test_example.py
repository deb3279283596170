"""`daybook dev --example construction_site`: what its screen says to type works."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.curling import curl
from tests.support.documents import commands
from tests.support.processes import DAYBOOK
from tests.support.waiting import eventually

# Its past is recorded, which takes some seconds on a machine that does other things too.
START_SECONDS = 60.0
PAID = re.compile(r"payroll  2026-11-23  karim-b  450 min  pv-1  by webhook")


@dataclass
class Screen:
    """A running `dev`, and what it has printed."""

    process: subprocess.Popen[bytes]
    output: Path
    environ: dict[str, str]

    def text(self) -> str:
        return self.output.read_text("utf-8")

    def variables(self) -> dict[str, str]:
        """What `daybook env` says of it."""
        told = subprocess.check_output([DAYBOOK, "env"], env=self.environ, text=True)
        return dict(re.findall(r"^export (\w+)=(\S+)$", told, re.MULTILINE))

    def tries(self) -> list[list[str]]:
        """The curl commands of its screenful."""
        _, _, after = self.text().partition("In another terminal:\n")
        shell, _, _ = after.partition("\n\n")
        return [words for words in commands(shell) if words[0] == "curl"]


@pytest.fixture
def screen(empty_database_url: str, tmp_path: Path) -> Iterator[Screen]:
    environ = os.environ | {
        "DAYBOOK_DATA_DIR": str(tmp_path / "data"),
        "DAYBOOK_DATABASE_URL": empty_database_url,
    }
    output = tmp_path / "screen"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [DAYBOOK, "dev", "--example", "construction_site", "--port", "0"],
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    shown = Screen(process, output, environ)
    try:
        eventually(lambda: "Ctrl-C" in shown.text(), START_SECONDS)
        yield shown
    finally:
        process.kill()
        process.wait()


def test_the_screenful_ends_on_the_payroll(screen: Screen) -> None:
    assert "Daybook is ready." in screen.text()
    assert len(screen.text().partition("ready.")[2].splitlines()) < 24
    variables = screen.variables()
    open_site, plan, book, validate, look = screen.tries()
    for words in (open_site, plan, book):
        curl(words, variables)
    assert curl(validate, variables)["statut"] == "valide"
    eventually(lambda: PAID.search(screen.text()))

    def last_week() -> bool:
        week = curl(look, variables)["data"][0]
        return bool(week["semaine"] == "2026-11-23" and week["minutes_validees"] == 450)

    eventually(last_week)

    # Its programs end with it, however it ends.
    [port] = re.findall(r"payroll  listening on port (\d+)", screen.text())
    screen.process.kill()
    eventually(lambda: not is_listening(int(port)))


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
