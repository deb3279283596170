"""What the command line lists: a row is a line, however narrow the terminal."""

import pytest

from workers import client

ROW = {
    "id": "ten_01m7x86wzeb6dyw4ctp0npzb96",
    "name": "Northside Construction and Sons",
    "created_at": "2026-11-20T19:51:21.326927Z",
}


@pytest.mark.parametrize("terminal", ["", "1"])
def test_a_row_is_whole(
    terminal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", terminal)
    client.show([ROW], list(ROW))
    _, line = capsys.readouterr().out.splitlines()
    assert all(value in line for value in ROW.values())
