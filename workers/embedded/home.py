"""Where a cluster's data lives and which user runs it; makes a new cluster there.

An ordinary user's data lies in the cluster's folder. Postgres refuses to run as root,
and root's folders are closed to others: there it runs as `postgres` or `nobody`, with
data and binaries below a directory of our own, `/var/lib/daybook-pg-<uid>`:

    lock                     taken to add, copy or remove anything here
    bin-<hash>/              a wheel's binaries
    cluster-<token>/folder   says which folder owns this cluster
    cluster-<token>/data     its data

The folder names its cluster by the token, and the cluster its folder by the path. Both
must agree: so a folder that was removed and made again starts empty, the copy of a
folder gets a cluster of its own, and a cluster whose folder is gone is removed.
"""

import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from workers.embedded import files, orphans
from workers.embedded.binaries import Binaries
from workers.embedded.files import EmbeddedUnavailable, Folder

ACCOUNTS = ("postgres", "nobody")
BUILTIN_LOCALE_SINCE = 17


class Home(NamedTuple):
    """Where the data is; for root also the account that runs Postgres, and our base."""

    data: Path
    account: pwd.struct_passwd | None = None
    base: Path | None = None

    def process(self) -> dict[str, Any]:
        """What `subprocess` needs to run a program of Postgres."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PG")  # the user's own server is not this one
        }
        options: dict[str, Any] = {"env": environment | {"LC_ALL": "C"}, "cwd": "/"}
        if self.account:
            options |= {"user": self.account.pw_uid, "group": self.account.pw_gid}
            options["extra_groups"] = []
        return options

    def give(self, path: Path) -> None:
        """Let the account have what root just made."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)


def settle(folder: Folder) -> Home:
    """The home of the folder's cluster; as root also removes clusters nobody owns."""
    if os.geteuid() != 0:
        return Home(folder.data)
    account = _account()
    base = _base(account)
    # Killed inside, a claimer leaves a cluster that no folder names, to be swept next.
    with files.locked(base / "lock"):
        cluster = _claim(base, folder)  # first: a folder that moved is not gone
        _sweep(base)
    return Home(cluster / "data", account, base)


def major(home: Home) -> int | None:
    """The Postgres version that made the data; None when there is none yet."""
    version = files.read_text(home.data / "PG_VERSION")
    return int(version) if version else None


def initialise(home: Home, folder: Folder, binaries: Binaries) -> None:
    """Make the cluster. Killed half-way, it is done again from the start."""
    _clear_workshops(home)
    shop = _workshop(home)
    (shop / "data").mkdir(mode=0o700)
    files.write_private(folder.password, secrets.token_urlsafe(24))
    files.write_private(shop / "password", folder.password.read_text())
    home.give(shop / "password")
    home.give(shop / "data")
    made = subprocess.run(  # noqa: S603 - binaries we found, no shell
        _initdb(binaries, shop / "data", shop / "password"),
        check=False,
        capture_output=True,
        text=True,
        **home.process(),
    )
    if made.returncode:
        raise EmbeddedUnavailable(
            f"Postgres could not make its data in {shop}: "
            f"{made.stderr.strip()}\nClear the cause, or {files.OWN_SERVER}"
        )
    (shop / "data").rename(home.data)
    shutil.rmtree(shop)


def _workshop(home: Home) -> Path:
    """A place for what is not whole yet, or no more.

    Each has its own name: the `initdb` of a killed supervisor may still be at work.
    """
    shop = home.data.with_name(f"new-{secrets.token_hex(4)}")
    shop.mkdir()
    shop.chmod(0o755 if home.account else 0o700)  # whatever the umask
    return shop


def _clear_workshops(home: Home) -> None:
    for shop in home.data.parent.glob("new-*"):
        shutil.rmtree(shop, ignore_errors=True)  # it may still grow


def _initdb(binaries: Binaries, data: Path, password: Path) -> list[str | Path]:
    command: list[str | Path] = [binaries.folder / "initdb", "-D", data]
    command += ["--username=postgres", f"--pwfile={password}"]
    # Any local user can reach a TCP port: nobody is trusted without the password.
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    if binaries.major >= BUILTIN_LOCALE_SINCE:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [*command, "--data-checksums", "--no-instructions"]


def remove(folder: Folder) -> None:
    """Stop what runs and remove the data; the caller holds the supervisor's lock."""
    home = settle(folder)
    orphans.stop_postmaster(home.data)
    orphans.end_stragglers(home.data, adopted=False)
    if home.data.exists():
        # Killed half-way, nothing may be left that looks like a whole cluster.
        home.data.rename(_workshop(home) / "data")
    _clear_workshops(home)
    if home.base:
        with files.locked(home.base / "lock"):
            shutil.rmtree(home.data.parent, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedUnavailable(
        "Postgres does not run as root and there is no user postgres or nobody here: "
        f"run as an ordinary user, or {files.OWN_SERVER}"
    )


def _base(account: pwd.struct_passwd) -> Path:
    base = Path("/var/lib").resolve() / f"daybook-pg-{account.pw_uid}"
    try:
        base.mkdir(mode=0o755, exist_ok=True)
    except OSError as error:
        raise EmbeddedUnavailable(
            f"{base} cannot be made ({error.strerror}): "
            f"run as an ordinary user, or {files.OWN_SERVER}"
        ) from error
    if base.is_symlink() or base.stat().st_uid != 0:
        raise EmbeddedUnavailable(f"{base} is not root's own: remove it")
    base.chmod(0o755)  # whatever the umask: the account must pass through
    return base


def _claim(base: Path, folder: Folder) -> Path:
    """The folder's cluster directory, made if need be."""
    token = files.read_text(folder.cluster)
    owner = files.read_text(base / f"cluster-{token}" / "folder")
    copied = owner and owner != str(folder.path) and _names(Path(owner), token)
    if not token.isalnum() or copied:
        token = secrets.token_hex(8)
    cluster = base / f"cluster-{token}"
    cluster.mkdir(exist_ok=True)
    cluster.chmod(0o755)
    files.write_private(cluster / "folder", str(folder.path))
    files.write_private(folder.cluster, token)
    return cluster


def _names(folder: Path, token: str) -> bool:
    return files.read_text(folder / "cluster") == token


def _sweep(base: Path) -> None:
    for cluster in base.glob("cluster-*"):
        # Running although its folder is gone: its supervisor is about to stop it.
        if _is_abandoned(cluster) and not orphans.postmaster(cluster / "data"):
            shutil.rmtree(cluster, ignore_errors=True)


def _is_abandoned(cluster: Path) -> bool:
    owner = files.read_text(cluster / "folder")
    try:
        token = cluster.name.removeprefix("cluster-")
        return not owner or not _names(Path(owner), token)
    except OSError:
        return False  # a disk that does not answer says nothing
