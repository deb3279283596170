"""Where logs come from and go to: ours and the libraries', the same way."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from projections import failure
from projections.settings import SettingsError
from workers.logs.files import Files
from workers.logs.writer import Line, Sink, Stream, Writer
from workers.settings import LogSettings

# They tell of each request with its URL, which is nobody's business here.
TALKATIVE = ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "aiohttp.access")


@contextmanager
def writing(settings: LogSettings) -> Iterator[None]:
    """Log as the settings say; all that was logged is written before this ends."""
    writer = Writer(_sinks(settings))
    libraries = _Libraries(writer.put)
    _configure(writer.put, settings.log_level)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = [libraries]
    # Not the chosen level: what libraries say when they debug has headers in it.
    root.setLevel(max(logging.INFO, _number(settings.log_level)))
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        writer.close()


def _sinks(settings: LogSettings) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.log_dir:
        days = settings.log_days, settings.log_error_days
        try:
            sinks.append(Files(settings.log_dir, *days))
        except OSError as error:
            raise SettingsError(f"DAYBOOK_LOG_DIR: {error}") from error
    shape = settings.log_format
    if shape == "auto":
        shape = "text" if sys.stderr.isatty() else "json"
    if shape != "none":
        sinks.append(Stream(sys.stderr, is_json=shape == "json"))
    return sinks


def _configure(put: Callable[[Line], None], level: str) -> None:
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_stack,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=lambda *names: _Channel(put, *names),
        # Loggers are made when modules are imported: before this, and in tests often.
        cache_logger_on_first_use=False,
    )


def _with_stack(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """An exception as text, at once: kept, it would keep its frames and their values."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        line["exception"] = failure.stack(error)
    return line


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class _Channel:
    """What structlog hands a finished line to: one for each name."""

    def __init__(self, put: Callable[[Line], None], name: str = "daybook") -> None:
        self._put = put
        self._name = name

    def info(self, **line: Any) -> None:
        line["logger"] = self._name
        self._put(line)

    debug = warning = error = critical = info


class _Libraries(logging.Handler):
    """What libraries log, as lines like ours."""

    def __init__(self, put: Callable[[Line], None]) -> None:
        super().__init__()
        self._put = put
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it over; a message that cannot be put together is told on stderr."""
        try:
            line: EventDict = {"event": record.getMessage(), "logger": record.name}
        except Exception:
            self.handleError(record)
            return
        line["level"] = record.levelname.lower()
        if record.exc_info and record.exc_info[1]:
            line["exception"] = failure.stack(record.exc_info[1])
        self._put(dict(self._stamp(None, "", line)))
