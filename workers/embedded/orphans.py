"""What a killed supervisor or postmaster leaves behind, and how it is cleared away.

After `kill -9` there can be: a postmaster without a supervisor; server processes
without a postmaster; a `postmaster.pid` whose process is gone, is a zombie that nobody
reaps, or is by now somebody else's. Postgres by itself refuses to start over most.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from workers.embedded.files import TICK

GRACE = 0.5  # seconds in which server processes may leave by themselves
GIVE_UP = 5.0  # seconds after which even SIGKILL is taken to have failed
PATIENCE = (  # how a postmaster is asked to go, and for how many seconds
    (signal.SIGINT, 30.0),  # fast: ends sessions, writes a checkpoint
    (signal.SIGQUIT, 5.0),  # immediate: leaves recovery to the next start
    (signal.SIGKILL, 5.0),
)


def postmaster(data: Path) -> int | None:
    """The pid of the server running on `data`, or None."""
    pid = _pid_in_file(data)
    # The number alone proves nothing: it may have been given to another process.
    return pid if pid and f" {data} " in _command(pid) else None


def is_ready(data: Path, pid: int) -> bool:
    """Whether postmaster `pid` says so itself: the line that `pg_ctl` reads too."""
    lines = _pid_file_lines(data)
    # A leftover file still says "ready", under another pid.
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def stop_postmaster(data: Path) -> None:
    """End the server running on `data`, if there is one."""
    if pid := postmaster(data):
        stop(pid, lambda: postmaster(data) != pid)


def stop(pid: int, is_gone: Callable[[], bool]) -> None:
    """End postmaster `pid`, as gently as it lets us."""
    for request, seconds in PATIENCE:
        _signal(pid, request)
        deadline = time.monotonic() + seconds
        while not is_gone():
            # Asked to stop at the start of a recovery, Postgres may wait for ever; and
            # a recovery that is broken off loses nothing.
            stuck = request == signal.SIGINT and _is_recovering(pid)
            if stuck or time.monotonic() > deadline:
                break
            time.sleep(TICK)
        else:
            return


def _is_recovering(pid: int) -> bool:
    titles = (_command(child) for child in _children(pid))
    return any(title.startswith("postgres: startup") for title in titles)


def disown_pid_file(data: Path) -> None:
    """Make Postgres see a leftover `postmaster.pid` as stale; the postmaster is gone.

    Postgres gives up when the pid in it exists, even as a zombie. Deleting the file
    would also lose the number of the shared memory segment, by which Postgres finds
    out that processes of the old postmaster are still at work. So the pid becomes
    that of the new postmaster's parent, us: Postgres takes that for stale, and goes on
    to check the segment.
    """
    file = data / "postmaster.pid"
    lines = _pid_file_lines(data)
    if len(lines) < 2:  # empty after a power cut: it names nothing to check
        file.unlink(missing_ok=True)
        return
    owner = file.stat()
    part = data / "postmaster.pid.part"
    part.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    part.chmod(0o600)
    os.chown(part, owner.st_uid, owner.st_gid)
    part.replace(file)  # whole or not at all: Postgres refuses an empty one


def end_stragglers(data: Path, adopted: bool) -> None:
    """Wait for server processes whose postmaster died, then kill them.

    They leave by themselves when they next wait for anything, but one deep in a query
    may not for minutes. Nothing acknowledged is lost with them: that is in the WAL.
    `adopted`: the caller is a supervisor, so all its children are such processes.
    """
    start = time.monotonic()
    while pids := _stragglers(data, adopted):
        waited = time.monotonic() - start
        if waited > GIVE_UP:
            return  # Postgres will refuse to start, and say why
        if waited > GRACE:
            for pid in pids:
                _signal(pid, signal.SIGKILL)
        time.sleep(TICK)
    if adopted:
        _reap()


def _stragglers(data: Path, adopted: bool) -> list[int]:
    # Root in a container may not see where another user's process stands, but it knows
    # its own children, and a supervisor adopts what its postmaster leaves.
    children = _children(os.getpid()) if adopted else []
    return children + [pid for pid, _ in _processes() if _stands_in(pid, data)]


def _children(pid: int) -> list[int]:
    return [child for child, parent in _processes() if parent == pid]


def _processes() -> Iterator[tuple[int, int]]:
    """All living processes of any Postgres, each with its parent. Linux only."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = file.read_text().rpartition(") ")
        except OSError:
            continue  # it just ended
        state, parent = tail.split()[:2]
        if state != "Z" and head.endswith("(postgres"):
            yield int(file.parent.name), int(parent)


def _stands_in(pid: int, data: Path) -> bool:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()) == str(data)
    except OSError:
        return False


def _reap() -> None:
    """Take leave of adopted children that ended; there is no postmaster now."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass  # none left


def _pid_in_file(data: Path) -> int | None:
    lines = _pid_file_lines(data)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _pid_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return []


def _command(pid: int) -> str:
    """The command line; empty for a zombie."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return os.fsdecode(words).replace("\0", " ")
    except ProcessLookupError:
        return ""
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else _command_by_ps(pid)


def _command_by_ps(pid: int) -> str:  # macOS has no /proc
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(  # noqa: S603 - no shell
        command, check=False, capture_output=True, text=True
    ).stdout


def _signal(pid: int, request: int) -> None:
    try:
        os.kill(pid, request)
    except ProcessLookupError:
        pass  # it was faster
