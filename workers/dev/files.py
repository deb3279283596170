"""What development mode keeps in its folder, readable by its user alone.

`keys.json` holds what must survive a restart; `dev.json` tells other commands, editors and
tests where everything is, and exists only while `daybook dev` runs.
"""

import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from projections.vault import generate_keys


class Keys(Struct, kw_only=True):
    """The secrets of one development folder."""

    secret_keys: str
    operator_key: str
    webhook_secrets: list[str] = []
    tenant_id: str | None = None
    api_key: str | None = None
    webhook_id: str | None = None


class Dev(Struct, kw_only=True):
    """Where everything is; the contract of `.daybook/dev.json`."""

    api_url: str
    console_url: str | None
    api_key: str
    operator_key: str
    tenant_id: str
    receiver_url: str
    database_url: str
    pid: int
    contexts: str | None = None


def project() -> Path:
    """The project's folder: where start.py stands, else here."""
    return Path(os.environ.get("DAYBOOK_PROJECT") or Path.cwd())


def default_folder() -> Path:
    """Where development mode keeps its data: DAYBOOK_DATA_DIR, else in the project."""
    return Path(os.environ.get("DAYBOOK_DATA_DIR") or project() / ".daybook")


def load_keys(folder: Path) -> Keys:
    """The folder's keys; fresh ones for a fresh folder."""
    path = folder / "keys.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Keys)
    return Keys(
        secret_keys=generate_keys(), operator_key=f"dbo_{secrets.token_hex(32)}"
    )


def save_keys(folder: Path, keys: Keys) -> None:
    """Keep them."""
    _write(folder / "keys.json", keys)


def load_dev(folder: Path) -> Dev | None:
    """What a running `daybook dev` says of itself; None when none runs."""
    try:
        dev = msgspec.json.decode((folder / "dev.json").read_bytes(), type=Dev)
        os.kill(dev.pid, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return dev


def running() -> Dev | None:
    """What runs in the default folder, else an example in one of its own; None: nothing."""
    folder = default_folder()
    found = (load_dev(path.parent) for path in sorted(folder.glob("*/dev.json")))
    return load_dev(folder) or next(filter(None, found), None)


def save_dev(folder: Path, dev: Dev) -> None:
    """Say where everything is."""
    _write(folder / "dev.json", dev)


def forget_dev(folder: Path) -> None:
    """It runs no more."""
    (folder / "dev.json").unlink(missing_ok=True)


def _write(path: Path, content: Struct) -> None:
    """In one step: whoever reads sees the old file or the new one, whole, mode 0600."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    data = msgspec.json.format(msgspec.json.encode(content), indent=2)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
