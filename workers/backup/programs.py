"""`pg_dump` and `pg_restore`: where they are, and running them."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from workers import embedded
from workers.dev import files
from workers.embedded import binaries

CHUNK = 1 << 20
OLDEST, NEWEST = 15, 19  # of the programs that are looked for
TIMEOUT_SINCE = 17
REMEDY = "apt-get install postgresql-client, or set DAYBOOK_POSTGRES_BIN to its folder"


class BackupError(RuntimeError):
    """No backup was made, or nothing restored; the message says why and what to do."""


class Programs(NamedTuple):
    """One installation's programs, and their version."""

    folder: Path
    major: int

    def command(self, name: str, *arguments: str) -> list[str]:
        """A call of one of them."""
        return [str(self.folder / name), *arguments]


def find(name: str, oldest: int, server: int) -> Programs:
    """The nearest installation from `oldest` on that fits the server. Raises BackupError.

    What a version writes, an older one cannot read; and from 17 on they say `set
    transaction_timeout`, which a server of before has never heard of.
    """
    newest = NEWEST if server >= TIMEOUT_SINCE else TIMEOUT_SINCE - 1
    found = {
        (major, folder) for folder in _folders() if (major := _major(folder, name))
    }
    for major, folder in sorted(found):
        if oldest <= major <= newest:
            return Programs(folder, major)
    seen = ", ".join(str(major) for major, _ in sorted(found)) or "none"
    raise BackupError(f"it takes {name} {oldest} to {newest}, here is {seen}: {REMEDY}")


def connection(url: str) -> tuple[str, dict[str, str]]:
    """The arguments and the environment that reach `url`; the password is not for `ps`."""
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    password = parts.pop("password", None)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    if password is not None:
        environ["PGPASSWORD"] = password
    return f"--dbname={make_conninfo(**parts)}", environ


@contextmanager
def running(
    command: Sequence[str],
    environ: dict[str, str] | None = None,
    feed: IO[bytes] | None = None,
) -> Iterator[IO[bytes]]:
    """The program's output as it comes, given `feed`. Raises BackupError when it fails."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - programs we found, no shell
            command,
            env=environ,
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        feeder = _feed(feed, process.stdin)
        try:
            if process.stdout is not None:
                yield process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
            status = process.wait()
            feeder.join()
        if status:
            errors.seek(0)
            raise BackupError(_said(command, errors.read()))


def _feed(source: IO[bytes] | None, target: IO[bytes] | None) -> threading.Thread:
    def pump() -> None:
        if source is None or target is None:
            return
        try:
            with target:
                shutil.copyfileobj(source, target, CHUNK)
        except BrokenPipeError:
            pass  # it has what it wanted, or its own reason to say

    thread = threading.Thread(target=pump, name="feeder")
    thread.start()
    return thread


def _said(command: Sequence[str], errors: bytes) -> str:
    text = errors.decode(errors="replace").strip()
    return f"{Path(command[0]).name} failed: {text[-2000:]}"


def _folders() -> Iterator[Path]:
    """Beside the running embedded server, then wherever else programs are."""
    try:
        server = (files.default_folder() / "postgres" / "server.json").read_bytes()
        yield Path(msgspec.json.decode(server)["bin"])
    except (OSError, msgspec.DecodeError, KeyError):
        pass
    for major in range(OLDEST, NEWEST + 1):
        try:
            yield binaries.find(major).folder
        except embedded.EmbeddedUnavailable:
            pass
    if tool := shutil.which("pg_dump"):
        yield Path(tool).parent


def _major(folder: Path, name: str) -> int | None:
    """The program's version; None when it does not run here."""
    try:
        answer = subprocess.run(  # noqa: S603 - a path we found, no shell
            [folder / name, "--version"], check=False, capture_output=True, text=True
        )
    except OSError:
        return None
    version = re.search(r"\) (\d+)", answer.stdout)
    return int(version[1]) if version and answer.returncode == 0 else None
