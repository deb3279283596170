"""The detached process that keeps one embedded Postgres: its parent, nurse and end.

`python -m workers.embedded.supervisor FOLDER LOCK` is started by `workers.embedded`,
which hands over the supervisor's lock as an open descriptor. Its life: make the cluster
if need be, start Postgres, start it again whenever it dies, stop it when nobody holds a
lease. When this process is killed, the kernel tells Postgres to stop and frees the
lock; the next lease or revival starts another one, which clears away what was left.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from workers.embedded import binaries, files, home, orphans, port
from workers.embedded.files import EmbeddedUnavailable, Folder

SETTINGS = {  # over the defaults of Postgres: fsync and its kin stay on
    "listen_addresses": port.HOST,
    # A refused command would be logged with its values, sealed secrets among them.
    "log_min_error_statement": "panic",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}
TICK = 0.1  # seconds between two looks at Postgres and at its users
FREE_TICKS = 5  # so often unused in a row: one process may hand over to another
ATTEMPTS = 5  # to start Postgres
PAUSE = 0.3  # seconds between them
SET_DEATH_SIGNAL, SET_SUBREAPER = 1, 36  # prctl(2)


class Supervisor:
    """One cluster's keeper; made while holding the supervisor's lock."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._users = os.open(folder.users_lock, os.O_RDWR | os.O_CREAT, 0o600)
        self._told_to_stop = False
        self._home = home.settle(folder)
        self._binaries = self._prepare()

    def run(self) -> None:
        """Keep Postgres running until nobody needs it."""
        for request in (signal.SIGTERM, signal.SIGINT):
            signal.signal(request, self._note_request)
        _adopt_orphans()
        postgres = self._start()
        while not self._is_over(postgres):
            self._folder.server.unlink(missing_ok=True)
            postgres = self._start()
        self._folder.server.unlink(missing_ok=True)
        orphans.stop(postgres.pid, lambda: postgres.poll() is not None)

    def _note_request(self, *_: object) -> None:
        self._told_to_stop = True

    def _prepare(self) -> binaries.Binaries:
        major = home.major(self._home)
        found = binaries.find(major)
        if self._home.base:
            found = binaries.copy_for_others(found, self._home.base)
        if major is None:
            home.initialise(self._home, self._folder, found)
        if not files.read_text(self._folder.password):
            raise EmbeddedUnavailable(
                f"{self._folder.password} is gone, and with it the way into the data: "
                f"put it back, start anew with --reset, or {files.OWN_SERVER}"
            )
        return found

    # ---- starting -------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        """Postgres, ready and announced."""
        data = self._home.data
        for _ in range(ATTEMPTS):
            orphans.stop_postmaster(data)
            orphans.end_stragglers(data, adopted=True)
            orphans.disown_pid_file(data)
            number = port.choose(self._folder)
            postgres = self._launch(number)
            if self._becomes_ready(postgres):
                self._announce(postgres.pid, number)
                return postgres
            if self._told_to_stop:
                break
            time.sleep(PAUSE)
        raise EmbeddedUnavailable(
            f"Postgres does not start. The end of {self._folder.log}:\n"
            f"{self._folder.log_tail()}\nClear the cause, or {files.OWN_SERVER}"
        )

    def _launch(self, number: int) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [self._binaries.folder / "postgres"]
        command += ["-D", self._home.data, "-p", str(number)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        return subprocess.Popen(  # noqa: S603 - binaries we found, no shell
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=_tie_to_us(),  # noqa: PLW1509 - this process has one thread
            **self._home.process(),
        )

    def _becomes_ready(self, postgres: subprocess.Popen[bytes]) -> bool:
        # No deadline: recovery takes what it takes. Callers have one each.
        while postgres.poll() is None:
            if orphans.is_ready(self._home.data, postgres.pid):
                return True
            time.sleep(files.TICK)
        return False

    def _announce(self, pid: int, number: int) -> None:
        password = files.read_text(self._folder.password)
        server = {
            "url": f"postgresql://postgres:{password}@{port.HOST}:{number}/postgres",
            "pid": pid,
            "port": number,
            "bin": str(self._binaries.folder),
            "supervisor": os.getpid(),
        }
        files.write_private(self._folder.server, json.dumps(server))

    # ---- watching -------------------------------------------------------------------

    def _is_over(self, postgres: subprocess.Popen[bytes]) -> bool:
        """Wait. True: nobody needs Postgres any more. False: it died."""
        free = 0
        while postgres.poll() is None:
            # The folder was removed, perhaps made again: it has no users, ever again.
            removed = not files.still_at(self._users, self._folder.users_lock)
            if removed or self._told_to_stop:
                return True
            free = free + 1 if self._is_unused(keep=free + 1 == FREE_TICKS) else 0
            if free == FREE_TICKS:
                return True
            self._bound_log()
            time.sleep(TICK)
        return False

    def _is_unused(self, keep: bool) -> bool:
        """Whether no user holds the shared lock.

        With `keep` the exclusive lock stays with us until we are gone: a user who comes
        during the shutdown waits for its end, instead of being given a server that
        stops under his hands. Killed meanwhile, we lose the lock, and he starts anew.
        """
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not keep:
            fcntl.flock(self._users, fcntl.LOCK_UN)
        return True

    def _bound_log(self) -> None:
        log = self._folder.log
        if log.exists() and log.stat().st_size > files.LOG_LIMIT:
            os.truncate(log, 0)  # all write at its end, wherever that is


def _adopt_orphans() -> None:
    """Become the parent of what a killed postmaster leaves, to see and reap it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_SUBREAPER, 1)


def _tie_to_us() -> Callable[[], None] | None:
    """What Postgres's process does first: ask to be stopped when we die."""
    if sys.platform != "linux":
        return None  # the next supervisor stops it
    libc, us = ctypes.CDLL(None), os.getpid()

    def tie() -> None:
        libc.prctl(SET_DEATH_SIGNAL, signal.SIGINT)
        if os.getppid() != us:  # we died before it could ask
            os._exit(1)

    return tie


def _report(folder: Folder, error: Exception) -> None:
    """Tell the process that waits for us why there will be no server."""
    text = str(error)
    if not isinstance(error, EmbeddedUnavailable):
        traceback.print_exception(error)
        text = f"{error!r}: see {folder.log}, or {files.OWN_SERVER}"
    files.write_private(folder.failure, text)


def main() -> None:
    """Detach from the caller, then supervise."""
    folder = Folder(Path(sys.argv[1]))
    # The lock (sys.argv[2]) is open in the child, and freed by its end, of any kind.
    if os.fork():
        os._exit(0)  # so the caller has no child to wait for, nor a zombie later
    try:
        Supervisor(folder).run()
    except Exception as error:
        _report(folder, error)
        sys.exit(1)


if __name__ == "__main__":
    main()
