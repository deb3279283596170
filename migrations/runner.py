"""Applies the SQL files in order, once, whoever and how many run it.

Each file is one transaction together with its row in `schema_migrations`: a crash leaves
either both or neither, and the next run goes on from there. There is no way back down;
a mistake is mended by the next file. Bounded contexts of others have folders of their own,
applied after ours; a run without such a context leaves what it made alone.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import NamedTuple

import psycopg

FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
# Any number of our own; see `_locked`.
_LOCK = 4919131752989213766
_TABLE = """
    create table if not exists public.schema_migrations (
        version text primary key,
        name text not null,
        sha256 text not null,
        applied_at timestamptz not null default clock_timestamp()
    )"""


class MigrationError(RuntimeError):
    """The files and the database do not fit; nothing was changed."""


# By the name of a bounded context the package in which its files lie.
Folders = Mapping[str, str]
NONE: Folders = {}


class Migration(NamedTuple):
    """One file: `0002_log.sql` is version 0002, name log; a context's `shop/0002`."""

    version: str
    name: str
    sql: str
    sha256: str


def files(folders: Folders = NONE) -> list[Migration]:
    """All migrations in order; raises MigrationError for a wrong or doubled name."""
    found = sorted(_in("migrations"))
    for name, package in folders.items():
        found += sorted(
            one._replace(version=f"{name}/{one.version}") for one in _in(package)
        )
    versions = [migration.version for migration in found]
    if len(set(versions)) != len(versions):
        raise MigrationError(f"two migrations have the same number: {versions}")
    return found


def _in(package: str) -> Iterator[Migration]:
    for path in resources.files(package).iterdir():
        if path.name.endswith(".sql") and path.name != "schema.sql":
            yield _read(path.name, path.read_text("utf-8"))


def _read(file_name: str, text: str) -> Migration:
    match = FILE_NAME.fullmatch(file_name)
    if not match:
        raise MigrationError(f"{file_name}: a migration is named NNNN_what.sql")
    text = text.replace("\r\n", "\n")
    return Migration(
        match[1], match[2], text, hashlib.sha256(text.encode()).hexdigest()
    )


def pending(connection: psycopg.Connection, folders: Folders = NONE) -> list[Migration]:
    """What is still to be applied; raises MigrationError when code and database differ."""
    known = files(folders)
    applied = {
        version: sha256
        for version, sha256 in _applied(connection).items()
        if _is_asked_for(version, folders)
    }
    if newer := sorted(set(applied) - {migration.version for migration in known}):
        raise MigrationError(
            f"the database is newer than this code: it has {', '.join(newer)}. "
            "Start the version of Daybook that made it, or a later one."
        )
    for migration in known:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.version}_{migration.name}.sql was changed after it was "
                "applied. Restore the file and put the change into a new one."
            )
    return [migration for migration in known if migration.version not in applied]


def migrate(
    url: str,
    folders: Folders = NONE,
    *,
    report: Callable[[Migration], None] = lambda migration: None,
    lock_timeout: str = "5s",
) -> list[Migration]:
    """Apply what is pending on the database at `url`; returns what this call applied.

    `report` hears of each file before it runs. Raises MigrationError, psycopg.Error.
    """
    done = []
    with psycopg.connect(url, autocommit=True) as connection:
        _locked(connection)
        connection.execute(_TABLE)
        connection.execute(
            "select set_config('lock_timeout', %s, false)", (lock_timeout,)
        )
        for migration in pending(connection, folders):
            report(migration)
            _apply(connection, migration)
            done.append(migration)
    return done


def _is_asked_for(version: str, folders: Folders) -> bool:
    """Whether it is ours, or of one of these contexts."""
    context, slash, _ = version.rpartition("/")
    return not slash or context in folders


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    exists = connection.execute("select to_regclass('public.schema_migrations')")
    if exists.fetchone() == (None,):
        return {}
    rows = connection.execute("select version, sha256 from public.schema_migrations")
    return dict(rows.fetchall())


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    with connection.transaction():
        # Without parameters psycopg uses the simple protocol: many statements and $$
        # bodies need no splitting.
        connection.execute(migration.sql.encode())
        connection.execute("reset role")
        connection.execute(
            "insert into public.schema_migrations (version, name, sha256) "
            "values (%s, %s, %s)",
            (migration.version, migration.name, migration.sha256),
        )


def _locked(connection: psycopg.Connection) -> None:
    """Hold the migration lock for the life of the session, so it ends with the process.

    Polled: waiting inside pg_advisory_lock would keep a snapshot open, on which a CREATE
    INDEX CONCURRENTLY in the holder's migration would wait in turn, for ever.
    """
    while True:
        row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row == (True,):
            return
        time.sleep(0.1)
