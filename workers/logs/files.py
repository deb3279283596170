"""Log files: one for each module and day, and one a day for warnings and errors of all.

    daybook.requests.2026-11-20.log   daybook.lanes.2026-11-20.log
    daybook.libraries.2026-11-20.log  daybook.errors.2026-11-20.log

The day (UTC) is in the name from the start, so nothing is ever renamed: any number of
processes write to one folder, each line whole (O_APPEND, one call), and none can take a
file from under another. Whoever begins a day deletes what is older than it should be.
"""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from workers.logs.writer import Line, as_json

OURS = "daybook."
LIBRARIES = "daybook.libraries"
ERRORS = "daybook.errors"
BAD = frozenset({"warning", "error", "critical"})
_NAME = re.compile(r"(daybook\.\w+)\.(\d{4}-\d\d-\d\d)\.log")
_MODE = 0o640  # they say who asked for what, and are not everybody's to read


class Files:
    """The folder of log files; made when there is none."""

    def __init__(self, folder: str, days: int, error_days: int) -> None:
        """`days` are how many a file is kept, those of errors `error_days`."""
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._days, self._error_days = days, error_days
        self._pid = os.getpid()
        self._day = ""
        self._open: dict[str, int] = {}

    def write(self, lines: Sequence[Line]) -> None:
        """Each to its module's file of its own day, bad ones to that of errors as well."""
        files: defaultdict[tuple[str, str], bytearray] = defaultdict(bytearray)
        for line in lines:
            text = as_json(line | {"pid": self._pid}) + b"\n"
            day, logger = line["timestamp"][:10], line["logger"]
            files[day, logger if logger.startswith(OURS) else LIBRARIES] += text
            if line["level"] in BAD:
                files[day, ERRORS] += text
        for (day, name), content in files.items():
            self._begin(day)
            self._append(name, content)

    def _begin(self, day: str) -> None:
        if day == self._day:
            return
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._day = day
        self._forget_old(date.fromisoformat(day))

    def _append(self, name: str, content: bytearray) -> None:
        if name not in self._open:
            path = self._folder / f"{name}.{self._day}.log"
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._open[name] = os.open(path, flags, _MODE)
        written = 0
        while written < len(content):  # a disk that fills up takes a part
            written += os.write(self._open[name], content[written:])

    def _forget_old(self, today: date) -> None:
        for path in self._folder.iterdir():
            if match := _NAME.fullmatch(path.name):
                kept = self._error_days if match[1] == ERRORS else self._days
                if match[2] <= str(today - timedelta(days=kept)):
                    path.unlink(missing_ok=True)  # another process was quicker
