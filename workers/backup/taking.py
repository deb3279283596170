"""Taking a backup while everything runs.

Under forced row-level security a dump shows what its role is shown, and an empty table and
one whose rows are hidden look the same. So the role is one whose policies show every row,
which is checked table by table before anything is read; and the rows in the file are
counted, against those in the snapshot that was dumped.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row

from domain import clock
from projections.sql import Queries
from workers.backup import archive, programs
from workers.backup.archive import Applied, Manifest
from workers.backup.programs import BackupError, Programs

QUERIES = Queries("workers.backup", "backup.sql")
ROLE = "daybook_backup"

Connection = psycopg.Connection[Any]


def take(url: str, path: Path) -> Manifest:
    """Back the database at `url` up to a new file. Raises BackupError, psycopg.Error."""
    with archive.written(path) as part:
        with connect(url) as connection:
            snapshot = _snapshot(connection)
            server = connection.info.server_version // 10000
            tool = programs.find("pg_dump", server, server)
            manifest = _manifest(connection, tool)
            _dump(url, part, snapshot, tool, manifest)
        found = archive.count(part, tool)
        if wrong := archive.differences(manifest.tables, found):
            raise BackupError(f"the dump is not complete, so it was removed: {wrong}")
    return manifest


def connect(url: str) -> Connection:
    """As the role that reads every row; one snapshot for the whole transaction."""
    settings = (
        f"-c role={ROLE} -c timezone=UTC -c idle_in_transaction_session_timeout=0"
    )
    connection = psycopg.connect(
        make_conninfo(url, options=settings, application_name="daybook backup"),
        row_factory=namedtuple_row,
    )
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def counted(connection: Connection) -> dict[str, int]:
    """The rows of every table. Raises BackupError when they are not all to be seen."""
    hidden = connection.execute(QUERIES["blind_spots"]).fetchall()
    if hidden:
        names = ", ".join(row.name for row in hidden)
        raise BackupError(
            f"{ROLE} does not see every row of {names}: a migration has to give it "
            "select, and a policy `for select using (true)`"
        )
    rows = connection.execute(QUERIES["row_counts"]).fetchall()
    return {row.name: row.rows for row in rows}


def _snapshot(connection: Connection) -> str:
    row = connection.execute(QUERIES["export_snapshot"]).fetchone()
    return str(row.snapshot) if row else ""


def _manifest(connection: Connection, tool: Programs) -> Manifest:
    try:
        [about] = connection.execute(QUERIES["about"]).fetchall()
    except psycopg.errors.UndefinedTable:
        raise BackupError("there is no Daybook in this database") from None
    migrations = connection.execute(QUERIES["migrations"]).fetchall()
    return Manifest(
        daybook=version("daybook"),
        taken_at=clock.rfc3339(about.taken_at),
        postgres=about.postgres,
        pg_dump=tool.major,
        incarnation=about.incarnation,
        log_position=about.log_position,
        migrations=[
            Applied(m.version, m.name, m.sha256, clock.rfc3339(m.applied_at))
            for m in migrations
        ],
        tables=counted(connection),
    )


def _dump(
    url: str, path: Path, snapshot: str, tool: Programs, manifest: Manifest
) -> None:
    database, environ = programs.connection(url)
    command = tool.command(
        "pg_dump",
        "--format=custom",
        "--schema=daybook",
        f"--role={ROLE}",
        "--enable-row-security",
        f"--snapshot={snapshot}",
        "--no-password",
        database,
    )
    with programs.running(command, environ) as output:
        archive.write(path, output, manifest)
