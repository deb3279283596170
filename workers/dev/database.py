"""The database of development mode: one in the folder, or the one it is told to use."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from migrations import runner
from workers import embedded

NAME = "daybook"


class Database:
    """A migrated database, held for as long as this process needs it."""

    def __init__(
        self,
        folder: Path,
        report: Callable[[str], None],
        folders: runner.Folders = runner.NONE,
    ) -> None:
        """Start or find it; `report` hears of each step that takes time.

        `folders`: the migrations of contexts of the user's own.
        """
        given = os.environ.get("DAYBOOK_DATABASE_URL")
        self._lease: embedded.Lease | None = None
        if given:
            self.url = given
        else:
            report("starting Postgres")
            self._lease = embedded.lease(folder / "postgres")
            self.url = _created(self._lease.url)
        runner.migrate(
            self.url,
            folders,
            report=lambda m: report(f"migrating: {m.version} {m.name}"),
        )

    def revive(self) -> None:
        """Start the embedded server again if it was lost; does nothing otherwise."""
        if self._lease is not None:
            self._lease.revive()

    def release(self) -> None:
        """Let go; an embedded server stops when its last user has."""
        if self._lease is not None:
            self._lease.release()


def _created(url: str) -> str:
    """The URL of our database on the server, made if it is not there."""
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute("create database daybook")
        except psycopg.errors.DuplicateDatabase:
            pass
        except psycopg.errors.UniqueViolation:
            pass  # another process makes it in this very moment
    return urlsplit(url)._replace(path=f"/{NAME}").geturl()
