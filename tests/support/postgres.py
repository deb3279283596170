"""A migrated database for each test, cloned from a template that is made once.

The template's name says which migrations made it, so runs share it: pytest-xdist's
workers, today's next run, and a colleague's on the same server. Roles belong to the
server; the migrations make them where they are missing.
"""

import datetime
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from migrations import runner

# Any number of our own: held while the template is made.
LOCK = 4919131752989213799


def connect(url: str) -> psycopg.Connection:
    """A connection as the login itself: it sees and may do everything."""
    return psycopg.connect(
        url, autocommit=True, options="-c search_path=daybook,public -c timezone=UTC"
    )


def url_of(server: str, database: str) -> str:
    """The URL of one of the server's databases."""
    return urlsplit(server)._replace(path=f"/{database}").geturl()


def template(server: str) -> str:
    """The name of the migrated template; makes it when there is none yet."""
    name = f"daybook_template_{_version()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("select pg_advisory_lock(%s)", (LOCK,))
        if not _exists(admin, name):
            _make(admin, server, name)
    return name


@contextmanager
def database(server: str, source: str = "template0") -> Iterator[str]:
    """The URL of a fresh copy of `source`, dropped at the end whoever uses it."""
    name = f"daybook_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
    try:
        yield url_of(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            _drop(admin, name)


def _version() -> str:
    """Changes with the migrations, and with the month: they make partitions for it."""
    digest = hashlib.sha256()
    for migration in runner.files():
        digest.update(migration.sha256.encode())
    digest.update(f"{datetime.datetime.now(datetime.UTC):%Y-%m}".encode())
    return digest.hexdigest()[:12]


def _exists(admin: psycopg.Connection, name: str) -> bool:
    found = admin.execute("select from pg_database where datname = %s", (name,))
    return found.fetchone() is not None


def _make(admin: psycopg.Connection, server: str, name: str) -> None:
    """Under another name until it is whole: a run that is killed leaves no half one."""
    unfinished = f"{name}_unfinished"
    _drop(admin, unfinished)
    admin.execute(sql.SQL("create database {}").format(sql.Identifier(unfinished)))
    runner.migrate(url_of(server, unfinished))
    # Nobody may be connected to a template while it is copied.
    for change in ("allow_connections false", f"rename to {name}"):
        admin.execute(
            sql.SQL("alter database {} " + change).format(sql.Identifier(unfinished))
        )


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(
        sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    )
