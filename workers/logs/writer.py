"""The thread that writes log lines, so that a slow disk or terminal keeps nobody else's.

Whoever logs puts a line into a queue and goes on. The thread renders and writes what waits,
up to 1,000 lines in one call, and then rests for 20 ms: under load that is one wake-up for
many lines. What waits is bounded; a line that finds no room is lost, is counted, and the
count is told in a line and a metric. `close` writes what waits; a process that is killed
loses the lines of those 20 ms.
"""

import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TextIO

import msgspec
import structlog

from domain import clock
from projections import telemetry

MOST_WAITING = 20_000  # lines; about 20 MB of them
MOST_AT_ONCE = 1000
REST_SECONDS = 0.02
CLOSE_SECONDS = (
    5.0  # given to a disk that hangs; then the rest of the lines is given up
)
FIRST = ("timestamp", "level", "logger", "event")

Line = dict[str, Any]


class Sink(Protocol):
    """A place that lines go to."""

    def write(self, lines: Sequence[Line]) -> None:
        """Write them in order; raises whatever keeps it from that."""


class Writer:
    """Lines in, from any thread; sinks out, from one of its own."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        """The later ones tell what keeps an earlier one from writing."""
        self._sinks = sinks
        self._failing: set[Sink] = set()
        self._waiting: SimpleQueue[Line | None] = SimpleQueue()
        self._counting = threading.Lock()
        self._lost = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def put(self, line: Line) -> None:
        """Have the line written; returns at once."""
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put(line)
        else:
            with self._counting:
                self._lost += 1

    def close(self) -> None:
        """Write what waits, then end; a sink that hangs is given up after 5 s."""
        self._closed.set()
        self._waiting.put(None)  # it may be waiting for a line
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._write(self._take())
            self._closed.wait(REST_SECONDS)
        while not self._waiting.empty():
            self._write(self._take())

    def _take(self) -> list[Line]:
        """What waits; at least one line, unless it is closing."""
        taken = [self._waiting.get()]
        try:
            while len(taken) < MOST_AT_ONCE:
                taken.append(self._waiting.get_nowait())
        except Empty:
            pass
        lines = [line for line in taken if line is not None]
        return lines + self._missed()

    def _missed(self) -> list[Line]:
        with self._counting:
            lost, self._lost = self._lost, 0
        if not lost:
            return []
        telemetry.log_lines_lost(lost)
        return [told("log_lines_lost", lines=lost)]

    def _write(self, lines: list[Line]) -> None:
        for sink in self._sinks if lines else ():
            try:
                sink.write(lines)
            except Exception as error:  # whatever it is, the others get their lines
                telemetry.log_lines_lost(len(lines))
                if sink not in self._failing:
                    self._failing.add(sink)
                    lines = [*lines, told("log_not_written", error=str(error))]
            else:
                self._failing.discard(sink)


class Stream:
    """Standard error: JSON for machines, text for people."""

    def __init__(self, stream: TextIO, *, is_json: bool) -> None:
        self._stream = stream
        self._console = None if is_json else structlog.dev.ConsoleRenderer()

    def write(self, lines: Sequence[Line]) -> None:
        """In one call, so that lines of two processes on one terminal stay whole."""
        rendered = [self._render(line) for line in lines]
        self._stream.write("".join(f"{line}\n" for line in rendered))
        self._stream.flush()

    def _render(self, line: Line) -> str:
        if self._console is None:
            return as_json(line).decode()
        return str(self._console(None, "", line.copy()))


def as_json(line: Line) -> bytes:
    """The line as JSON, what all have in common in front."""
    ordered = {name: line.get(name) for name in FIRST} | line
    try:
        return _ENCODER.encode(ordered)
    except Exception as error:  # a value that is no text, somewhere
        common = {name: str(line.get(name)) for name in FIRST}
        return _ENCODER.encode(common | {"not_shown": type(error).__name__})


def told(event: str, **values: Any) -> Line:
    """A line about the logs themselves."""
    common = {"timestamp": clock.rfc3339(clock.now()), "level": "warning"}
    return common | {"logger": "daybook.logs", "event": event} | values


_ENCODER = msgspec.json.Encoder(enc_hook=str)
