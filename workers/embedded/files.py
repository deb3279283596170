"""The folder of an embedded cluster: names, locks, how files are written, an error."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX

TICK = 0.02  # seconds between two looks at something that will change soon
LOG_KEPT_AT_START = 1 << 20  # bytes; a longer log moves to server.log.1
LOG_LIMIT = 16 << 20  # bytes; a longer log is emptied while the server runs

OWN_SERVER = "set DAYBOOK_DATABASE_URL to a Postgres server of your own"


class EmbeddedUnavailable(RuntimeError):
    """There is no embedded Postgres; the message says what to do next."""


class Folder:
    """Where everything of one cluster is found. Nothing here is opened or made."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.users_lock = self.path / "users.lock"
        self.supervisor_lock = self.path / "supervisor.lock"
        self.server = self.path / "server.json"  # there while the server is ready
        self.password = self.path / "password"
        self.port = self.path / "port"  # outlives the server, so its URL does
        self.failure = self.path / "failure.txt"  # why the last start failed
        self.log = self.path / "server.log"
        self.old_log = self.path / "server.log.1"
        self.data = self.path / "data"  # not for root, see home.py
        self.cluster = self.path / "cluster"  # root: which data directory is ours

    def make(self) -> None:
        """Make the folder if need be; refuse one that another user owns."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self.path.stat().st_uid
        except OSError as error:
            raise EmbeddedUnavailable(
                f"{self.path} cannot be made ({error.strerror}): "
                f"choose another folder, or {OWN_SERVER}"
            ) from error
        if owner != os.geteuid():
            raise EmbeddedUnavailable(
                f"{self.path} belongs to user {owner} and you are {os.geteuid()}: "
                f"run as that user, remove the folder, or {OWN_SERVER}"
            )

    def remove(self) -> None:
        """Remove all files but the data; a file that is not ours keeps the folder."""
        for path in vars(self).values():
            for file in (path, _part(path)):
                if file.is_file():
                    file.unlink()
        try:
            self.path.rmdir()
        except OSError:
            pass  # not empty: others keep things here

    def open_log(self) -> IO[bytes]:
        """The log, to append to; moved aside first when it has grown long."""
        if self.log.exists() and self.log.stat().st_size > LOG_KEPT_AT_START:
            self.log.replace(self.old_log)
        self.log.touch(mode=0o600)
        return self.log.open("ab")

    def log_tail(self, lines: int = 8) -> str:
        """The end of the log, for an error message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 4096))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def try_lock(path: Path, kind: int) -> int | None:
    """A descriptor that holds the lock on `path`, or None: it is taken, try again.

    The lock belongs to the open file, so a child that is given the descriptor shares
    it, and the kernel frees it when the last holder is gone, however it died: none is
    ever stale, and nobody needs to ask who has it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None  # the folder is being removed
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not still_at(descriptor, path):  # removed between open and flock
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on `path`, waiting for it."""
    while (lock := try_lock(path, EXCLUSIVE)) is None:
        time.sleep(TICK)
    try:
        yield
    finally:
        os.close(lock)


def still_at(descriptor: int, path: Path) -> bool:
    """Whether `path` is the open file: a lock on a deleted file keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_private(path: Path, text: str) -> None:
    """Write for the owner only, whole or not at all; callers hold a lock."""
    part = _part(path)
    part.unlink(missing_ok=True)  # of a writer that was killed
    part.touch(mode=0o600)
    with part.open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def read_text(path: Path) -> str:
    """What the file says, stripped; empty when there is none."""
    try:
        return path.read_text("utf-8", "surrogateescape").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
