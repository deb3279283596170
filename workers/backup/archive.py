"""The file of a backup: what pg_dump wrote, and a manifest of what it must hold."""

import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from workers.backup import programs
from workers.backup.programs import CHUNK, BackupError, Programs

FORMAT = 1
DUMP, MANIFEST = "daybook.dump", "manifest.json"
_COPY = re.compile(rb"COPY daybook\.(\w+) \(.*\) FROM stdin;\n")


class Applied(Struct):
    """A migration that the database had."""

    version: str
    name: str
    sha256: str
    applied_at: str


class Manifest(Struct, kw_only=True):
    """What was backed up; `tables` says how many rows each table had."""

    format: int = FORMAT
    daybook: str
    taken_at: str
    postgres: int
    pg_dump: int
    incarnation: str
    log_position: int
    migrations: list[Applied]
    tables: dict[str, int]


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its name at the end, or is gone; for the owner only.

    Raises BackupError when there is such a file already.
    """
    part = path.with_name(f".{path.name}.part")
    if path.exists():
        raise BackupError(f"{path} exists: choose another name")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        yield part
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def write(path: Path, dump: IO[bytes], manifest: Manifest) -> None:
    """Both parts; the dump as it comes."""
    with zipfile.ZipFile(path, "w") as file:  # stored: a dump is compressed already
        with file.open(DUMP, "w", force_zip64=True) as target:
            shutil.copyfileobj(dump, target, CHUNK)
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        file.writestr(MANIFEST, text)


def read(path: Path) -> Manifest:
    """The manifest of a file that is whole. Raises BackupError."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                raise BackupError(f"{path} is damaged: its checksum is wrong")
            manifest = msgspec.json.decode(file.read(MANIFEST), type=Manifest)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, KeyError, msgspec.DecodeError) as error:
        raise BackupError(f"{path} is damaged, or no backup: {error}") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{path} is of a newer Daybook: restore it with that")
    return manifest


@contextmanager
def dump(path: Path) -> Iterator[IO[bytes]]:
    """What pg_dump wrote."""
    with zipfile.ZipFile(path) as file, file.open(DUMP) as source:
        yield source


def count(path: Path, tool: Programs) -> dict[str, int]:
    """How many rows the file has for each table: by reading all of them."""
    command = tool.command("pg_restore", "--data-only", "--file=-")
    counts: dict[str, int] = {}
    table = None
    with dump(path) as source, programs.running(command, feed=source) as lines:
        for line in lines:
            # In COPY's text format a row is a line, whatever is in it.
            if table is not None and line != b"\\.\n":
                counts[table] += 1
            elif table is not None:
                table = None
            elif match := _COPY.fullmatch(line):
                table = match[1].decode()
                counts[table] = 0
    return counts


def differences(expected: dict[str, int], found: dict[str, int]) -> str:
    """Which tables differ and how, as text; empty when none does."""
    return ", ".join(
        f"{name}: {found.get(name, 'nothing')} of {expected.get(name, 'nothing')}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    )
