"""Restoring a backup into an empty database.

Roles belong to the server and are in no dump: the migrations make them, and what else they
make goes again before the dump comes. The rows are counted before the database is given
its version, without which no process starts on it; and the log gets another incarnation,
so that whoever holds a cursor of the old one is told.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg
from msgspec.structs import asdict

from migrations import runner
from workers.backup import archive, programs, taking
from workers.backup.archive import Manifest
from workers.backup.programs import BackupError, Programs
from workers.backup.taking import QUERIES

_SCHEMA = re.compile(r"^\d+; .* SCHEMA - daybook .*$", re.MULTILINE)


class Restored(NamedTuple):
    """What was restored, and as which log."""

    manifest: Manifest
    incarnation: str


def restore(
    url: str,
    path: Path,
    report: Callable[[str], None] = lambda step: None,
    folders: runner.Folders = runner.NONE,
) -> Restored:
    """Restore into the database at `url`. Raises BackupError, psycopg.Error.

    `folders` are those of the contexts whose tables the backup has.
    """
    manifest = archive.read(path)
    _check_version(manifest, folders)
    report(f"restoring {manifest.log_position} events of {manifest.taken_at}")
    with psycopg.connect(url, autocommit=True) as connection:
        _check_empty(connection)
        tool = _tool(connection, manifest)
        runner.migrate(url, folders)
        _clear(connection)
        _load(url, path, tool)
        report("counting")
        _compare(url, manifest)
        incarnation = _finish(connection, manifest)
    for migration in runner.migrate(url, folders):
        report(f"migrated: {migration.version} {migration.name}")
    return Restored(manifest, incarnation)


def _check_version(manifest: Manifest, folders: runner.Folders) -> None:
    """This code must know what the backup holds."""
    known = {each.version: each.sha256 for each in runner.files(folders)}
    for each in manifest.migrations:
        if known.get(each.version) != each.sha256:
            raise BackupError(
                f"the backup has migration {each.version}_{each.name}, which this code "
                f"does not know: restore it with Daybook {manifest.daybook} or later"
            )


def _tool(connection: psycopg.Connection, manifest: Manifest) -> Programs:
    server = connection.info.server_version // 10000
    if server < manifest.postgres:
        raise BackupError(
            f"the backup is of Postgres {manifest.postgres} and this server is {server}: "
            "restore it into the same version or a later one"
        )
    return programs.find("pg_restore", manifest.pg_dump, server)


def _check_empty(connection: psycopg.Connection) -> None:
    found = [name for (name,) in connection.execute(QUERIES["contents"]).fetchall()]
    if found:
        raise BackupError(
            f"the database is not empty (it has {', '.join(found)} ...): "
            "make another one, and restore into that"
        )


def _clear(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute(QUERIES["forget_migrations"])
        connection.execute(QUERIES["drop_schema"])
        connection.execute(QUERIES["create_schema"])
        connection.execute(QUERIES["enter_owner"])
        connection.execute(QUERIES["lend_schema"])


def _load(url: str, path: Path, tool: Programs) -> None:
    """All of the dump but the schema itself, which is there, or nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.write(_SCHEMA.sub("", _contents(path, tool)))
        chosen.flush()
        database, environ = programs.connection(url)
        command = tool.command(
            "pg_restore",
            "--single-transaction",
            "--exit-on-error",
            "--no-password",
            f"--use-list={chosen.name}",
            database,
        )
        with (
            archive.dump(path) as source,
            programs.running(command, environ, feed=source) as output,
        ):
            output.read()


def _contents(path: Path, tool: Programs) -> str:
    command = tool.command("pg_restore", "--list")
    with archive.dump(path) as source, programs.running(command, feed=source) as output:
        return output.read().decode()


def _compare(url: str, manifest: Manifest) -> None:
    with taking.connect(url) as connection:
        found = taking.counted(connection)
    if wrong := archive.differences(manifest.tables, found):
        raise BackupError(
            f"rows are missing, so the database was given no version: {wrong}. "
            "Drop it, and restore into another one"
        )


def _finish(connection: psycopg.Connection, manifest: Manifest) -> str:
    """Another incarnation and the version: from here on processes start on it."""
    with connection.transaction():
        for each in manifest.migrations:
            connection.execute(QUERIES["record_migration"], asdict(each))
        connection.execute(QUERIES["enter_owner"])
        connection.execute(QUERIES["take_schema_back"])
        row = connection.execute(QUERIES["new_incarnation"]).fetchone()
    connection.execute(QUERIES["analyze"])
    return str(row[0]) if row else ""
