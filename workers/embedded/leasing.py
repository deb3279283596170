"""Embedded Postgres for development and tests: one server a folder, shared by all.

    with lease(Path(".daybook/postgres")) as database:
        psycopg.connect(database.url)

Every process that needs the server holds a lease: a shared lock that the kernel frees
when the process ends, however it ends. The first one starts a supervisor
(`workers.embedded.supervisor`), which stops the server within a second after the last
is gone. A killed Postgres comes back by itself at the same URL; if its supervisor was
killed too, `revive` (or anybody's next lease) brings both back.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.embedded import files, home, port
from workers.embedded.files import EmbeddedUnavailable, Folder

__all__ = ["EmbeddedUnavailable", "Lease", "lease", "remove"]


def lease(folder: Path, *, timeout: float = 60.0) -> "Lease":
    """A running server of `folder`, started and made if need be; blocks until ready."""
    held = Lease(Folder(folder))
    try:
        held.revive(timeout)
    except BaseException:
        held.release()
        raise
    return held


def remove(folder: Path, *, timeout: float = 60.0) -> None:
    """Stop the folder's server, whoever uses it, and remove all its data and files."""
    place = Folder(folder)
    deadline = time.monotonic() + timeout
    # Taken as a supervisor takes it, so none can start on what is being removed. Killed
    # here, we leave a part; the next lease finds it usable or makes it anew.
    while (lock := files.try_lock(place.supervisor_lock, files.EXCLUSIVE)) is None:
        if not place.path.exists():
            return
        place.users_lock.unlink(missing_ok=True)  # tells a supervisor that it is over
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(f"the server in {place.path} does not stop")
        time.sleep(files.TICK)
    try:
        home.remove(place)
        place.remove()
    finally:
        os.close(lock)


class Lease:
    """The right to a running server until `release` or the end of the process."""

    def __init__(self, folder: Folder) -> None:
        self.url = ""
        self.folder = folder.path
        self._folder = folder
        self._users: int | None = None
        self._guard = threading.Lock()  # threads may find the server gone together

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the right back; processes forked meanwhile keep theirs."""
        with self._guard:
            if self._users is not None:
                os.close(self._users)
                self._users = None

    def revive(self, timeout: float = 60.0) -> str:
        """Wait for the server, starting its supervisor if that is gone; its URL.

        To be called when the server cannot be reached. The URL stays the same unless
        another program took the port meanwhile.
        """
        with self._guard:
            deadline = time.monotonic() + timeout
            tried = False
            while not (self._hold() and self._find()):
                tried = self._supervise(tried) or tried
                if time.monotonic() > deadline:
                    raise EmbeddedUnavailable(
                        f"Postgres in {self._folder.path} is not ready after "
                        f"{timeout:g} s: see {self._folder.log}, or {files.OWN_SERVER}"
                    )
                time.sleep(files.TICK)
            return self.url

    def _hold(self) -> bool:
        """Be a user; False while a supervisor without users is stopping the server."""
        lock = self._folder.users_lock
        if self._users is not None and not files.still_at(self._users, lock):
            os.close(self._users)  # the folder was removed: we are nobody's user
            self._users = None
        if self._users is None:
            self._folder.make()
            # Held for life. A holder that is killed is simply a user less.
            self._users = files.try_lock(lock, files.SHARED)
        return self._users is not None

    def _find(self) -> bool:
        """Learn the URL of a server that is ready.

        A living supervisor withdraws the file when Postgres dies. What a killed one
        left is removed by whoever starts the next, hence the second look.
        """
        text = files.read_text(self._folder.server)
        if not text or not self._has_supervisor():
            return False
        server = json.loads(text)
        if not port.answers(server["port"]):
            return False
        self.url = server["url"]
        return text == files.read_text(self._folder.server)

    def _has_supervisor(self) -> bool:
        # Shared, for a moment: those who only look must not take each other for it.
        lock = files.try_lock(self._folder.supervisor_lock, files.SHARED)
        if lock is not None:
            os.close(lock)
        return lock is None

    def _supervise(self, tried: bool) -> bool:
        """Start a supervisor unless there is one or nobody may; True when it did.

        The lock is taken here and the open descriptor given to the child: there is no
        moment at which two could start. Killed in between, we free it; killed later,
        the child keeps it.
        """
        if self._users is None:
            return False
        lock = files.try_lock(self._folder.supervisor_lock, files.EXCLUSIVE)
        if lock is None:
            return False
        try:
            if tried and (failure := files.read_text(self._folder.failure)):
                raise EmbeddedUnavailable(failure)
            self._folder.failure.unlink(missing_ok=True)
            self._folder.server.unlink(missing_ok=True)  # of a killed supervisor
            self._spawn(lock)
        finally:
            os.close(lock)
        return True

    def _spawn(self, lock: int) -> None:
        code = str(Path(__file__).parents[2])  # installed or not
        path = os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-P", "-m", "workers.embedded.supervisor"]
        with self._folder.open_log() as log:
            started = subprocess.run(  # noqa: S603 - our own interpreter, no shell
                [*command, str(self._folder.path), str(lock)],
                check=False,
                env=os.environ | {"PYTHONPATH": path},
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is not for it
            )
        if started.returncode:
            raise EmbeddedUnavailable(
                f"the supervisor does not start:\n{self._folder.log_tail()}"
            )
