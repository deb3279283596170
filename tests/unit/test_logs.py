"""Logs: what a line looks like, where it goes, and that nobody waits for it."""

import io
import json
import logging
import os
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from projections import telemetry
from projections.settings import SettingsError
from workers import logs
from workers.logs.files import Files
from workers.logs.writer import MOST_WAITING, Line, Stream, Writer, as_json
from workers.settings import LogSettings


def a_line(**values: Any) -> Line:
    common = {"timestamp": "2026-11-20T23:59:59.999999Z", "level": "info"}
    return common | {"logger": "daybook.lanes", "event": "taken"} | values


class Kept:
    """A sink that remembers; it hangs while `gate` is closed, and fails when told to."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.is_broken = False

    def write(self, lines: Sequence[Line]) -> None:
        self.begun.set()
        self.gate.wait()
        if self.is_broken:
            raise OSError(28, "No space left on device")
        self.lines += lines

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


def lost_lines() -> float:
    found = telemetry.REGISTRY.get_sample_value("daybook_log_lines_lost_total")
    assert found is not None
    return found


# ---- the writer


def test_closing_writes_what_waits_in_order() -> None:
    sink = Kept()
    writer = Writer([sink])
    for number in range(5000):
        writer.put(a_line(number=number))
    writer.close()
    assert [line["number"] for line in sink.lines] == list(range(5000))


def test_nobody_waits_for_a_place_that_hangs() -> None:
    # given a place that hangs in its first line
    sink, before = Kept(), lost_lines()
    sink.gate.clear()
    writer = Writer([sink])
    writer.put(a_line())
    assert sink.begun.wait(10)
    # when more comes than may wait
    for number in range(MOST_WAITING + 7):
        writer.put(a_line(number=number))
    # then what found no room is counted, and the rest is written
    sink.gate.set()
    writer.close()
    assert len(sink.lines) == 1 + MOST_WAITING + 1
    [told] = [line for line in sink.lines if line["event"] == "log_lines_lost"]
    assert (told["lines"], told["level"]) == (7, "warning")
    assert lost_lines() - before == 7


def test_a_place_that_fails_is_told_of_in_the_others_once() -> None:
    broken, sink = Kept(), Kept()
    broken.is_broken = True
    writer = Writer([broken, sink])
    for event in ("first", "second"):
        sink.begun.clear()
        writer.put(a_line(event=event))
        assert sink.begun.wait(10)
    writer.close()
    assert sink.events == ["first", "log_not_written", "second"]
    assert "No space left" in sink.lines[1]["error"]


# ---- what a line looks like


def test_what_all_lines_have_stands_in_front() -> None:
    line = {"webhook": "wh_1"} | a_line()
    shown = as_json(line).decode()
    assert shown.startswith('{"timestamp":"2026-11-20T23:59:59.999999Z","level":')
    assert list(json.loads(shown)) == [
        "timestamp",
        "level",
        "logger",
        "event",
        "webhook",
    ]


@pytest.mark.parametrize("value", [{1: {"a": {2}}}, "\ud800", float("nan"), ValueError])
def test_any_value_makes_a_line(value: Any) -> None:
    shown = json.loads(as_json(a_line(value=value)))
    assert shown["event"] == "taken"


def test_a_line_is_one_line() -> None:
    assert b"\n" not in as_json(a_line(text="two\nlines"))


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    Stream(stream, is_json=False).write([a_line(lanes=3)])
    assert "taken" in stream.getvalue()
    assert "{" not in stream.getvalue()


# ---- from loggers to lines


def written(capsys: pytest.CaptureFixture[str]) -> list[Line]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_ours_and_the_libraries_lines_look_alike(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logs.writing(LogSettings(log_format="json")):
        structlog.get_logger("daybook.lanes").warning("lease_lost", lanes=2)
        logging.getLogger("uvicorn.error").warning("it is %s", "late")
        logging.getLogger("httpx").info("GET https://receiver.example/?token=1")
    ours, theirs = written(capsys)
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "level": "warning",
        "logger": "daybook.lanes",
        "event": "lease_lost",
        "lanes": 2,
    }
    assert theirs.pop("timestamp").endswith("Z")
    assert theirs == {
        "level": "warning",
        "logger": "uvicorn.error",
        "event": "it is late",
    }


def test_less_than_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("daybook.lanes")
    with logs.writing(LogSettings(log_format="json", log_level="warning")):
        log.info("taken")
        logging.getLogger("uvicorn.error").info("started")
        log.error("lost")
    assert [line["event"] for line in written(capsys)] == ["lost"]


def test_libraries_do_not_debug(capsys: pytest.CaptureFixture[str]) -> None:
    """Their lines for debugging have headers and statements in them."""
    with logs.writing(LogSettings(log_format="json", log_level="debug")):
        logging.getLogger("httpcore.http11").debug("authorization: Bearer dbk_1")
        structlog.get_logger("daybook.lanes").debug("looked")
    assert [line["event"] for line in written(capsys)] == ["looked"]


def test_an_exception_is_shown_without_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(number: int) -> None:
        secret = f"whsec_{number}"
        raise RuntimeError(f"no room for {len(secret)}")

    with logs.writing(LogSettings(log_format="json")):
        try:
            fail(1)
        except RuntimeError:
            structlog.get_logger("daybook.lanes").exception("failed")
            logging.getLogger("asyncio").exception("failed there")
    for line in written(capsys):
        assert line["exception"].endswith("RuntimeError: no room for 7")
        assert "in fail" in line["exception"]
        assert "whsec_1" not in line["exception"]


def test_what_was_there_before_is_there_again() -> None:
    root = logging.getLogger()
    before = root.handlers, root.level, structlog.get_config()["processors"]
    with logs.writing(LogSettings(log_format="none")):
        assert root.handlers != before[0]
    assert (root.handlers, root.level) == before[:2]
    assert structlog.get_config()["processors"] == before[2]


# ---- files


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_for_each_module_and_one_for_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    files = Files(str(folder), days=30, error_days=90)
    files.write(
        [
            a_line(),
            a_line(logger="daybook.requests", level="error", event="failed"),
            a_line(logger="psycopg.pool", level="warning", event="slow"),
        ]
    )
    day = "2026-11-20.log"
    found = {path.name: lines_of(path) for path in folder.iterdir()}
    assert {name: [line["event"] for line in found[name]] for name in found} == {
        f"daybook.lanes.{day}": ["taken"],
        f"daybook.requests.{day}": ["failed"],
        f"daybook.libraries.{day}": ["slow"],
        f"daybook.errors.{day}": ["failed", "slow"],
    }
    assert found[f"daybook.lanes.{day}"][0]["pid"] == os.getpid()
    mode = (folder / f"daybook.lanes.{day}").stat().st_mode
    assert stat.S_IMODE(mode) & 0o027 == 0


def test_a_new_day_is_a_new_file(tmp_path: Path) -> None:
    files = Files(str(tmp_path), days=30, error_days=90)
    next_day = "2026-11-21T00:00:00.000000Z"
    files.write([a_line(), a_line(timestamp=next_day), a_line(event="late")])
    first, second = sorted(tmp_path.iterdir())
    assert [line["event"] for line in lines_of(first)] == ["taken", "late"]
    assert [line["timestamp"] for line in lines_of(second)] == [next_day]


def test_old_files_go_those_of_errors_later(tmp_path: Path) -> None:
    kept = {
        "daybook.lanes.2026-10-22.log",
        "daybook.errors.2026-08-23.log",
        "lanes.2020-01-01.log",  # not ours
        "daybook.lanes.log",
        "notes.txt",
    }
    old = {"daybook.lanes.2026-10-21.log", "daybook.errors.2026-08-22.log"}
    for name in kept | old:
        (tmp_path / name).touch()
    Files(str(tmp_path), days=30, error_days=90).write([a_line()])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == kept | {"daybook.lanes.2026-11-20.log"}


def test_processes_share_a_folder(tmp_path: Path) -> None:
    """Each line whole, none lost, whoever writes at the same time."""
    both = [Files(str(tmp_path), days=30, error_days=90) for _ in range(2)]

    def write(number: int) -> None:
        for _ in range(200):
            both[number].write([a_line(text="x" * 500)] * 3)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [path] = tmp_path.iterdir()
    assert len(lines_of(path)) == 2 * 200 * 3


def test_a_folder_that_cannot_be_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = LogSettings(log_dir=str(tmp_path / "file" / "folder"))
    with pytest.raises(SettingsError, match="DAYBOOK_LOG_DIR"), logs.writing(given):
        pass


def test_a_terminal_gets_text_and_a_pipe_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for is_terminal in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda answer=is_terminal: answer)
        monkeypatch.setattr(sys, "stderr", stream)
        with logs.writing(LogSettings()):
            structlog.get_logger("daybook.lanes").info("taken")
        assert stream.getvalue().startswith("{") is not is_terminal
