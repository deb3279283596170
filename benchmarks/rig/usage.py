"""What a run costs: CPU of processes from /proc, commits and WAL from Postgres."""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

TICKS = os.sysconf("SC_CLK_TCK")
HAS_PROC = Path("/proc/self/stat").exists()
WAL = "select wal_bytes::bigint as bytes, wal_fpi as full_pages from pg_stat_wal"
COMMITS = "select sum(xact_commit)::bigint from pg_stat_database where datname = %s"


class Times(NamedTuple):
    """A process: who started it, and its CPU seconds, own and of ended children."""

    parent: int
    own: float
    children: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """Of a living process; FileNotFoundError when there is none, or no /proc."""
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        user, system, children_user, children_system = map(int, fields[11:15])
        return cls(
            int(fields[1]),
            (user + system) / TICKS,
            (children_user + children_system) / TICKS,
        )


def cpu_of(pids: list[int]) -> float:
    """CPU seconds of some processes up to now; NaN where there is no /proc."""
    return sum(Times.of(pid).own for pid in pids) if HAS_PROC else math.nan


def cpu_of_server(connection: psycopg.Connection[Any]) -> float:
    """CPU seconds of a whole Postgres, all of its processes; NaN if it is not here."""
    backend = connection.info.backend_pid
    command = Path(f"/proc/{backend}/cmdline")
    if not (command.exists() and command.read_bytes().startswith(b"postgres")):
        return math.nan
    postmaster = Times.of(backend).parent
    total = Times.of(postmaster).own
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                times = Times.of(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended: from now on it is among its parent's children
            if times.parent == postmaster:
                total += times.own
    # Read last: whoever ended meanwhile is counted, at worst twice, never not at all.
    return total + Times.of(postmaster).children


def resident_kib(pid: int) -> int:
    """The memory that a process has resident now, in KiB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    [line] = [line for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


def peak_mb(pid: int) -> float:
    """The most memory that a process has had resident, in MB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    [line] = [line for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def commits(connection: psycopg.Connection[Any], url: str) -> int:
    """Transactions committed in a database; its backends tell when they end."""
    name = conninfo_to_dict(url)["dbname"]
    row = connection.execute(COMMITS.encode(), (name,)).fetchone()
    return int(row[0] or 0) if row else 0


class Wal(NamedTuple):
    """What a server has written ahead: bytes, and pages in full among them."""

    bytes: int
    full_pages: int


def wal(connection: psycopg.Connection[Any]) -> Wal:
    """Up to now."""
    row = connection.execute(WAL.encode()).fetchone()
    assert row is not None
    return Wal(*row)
