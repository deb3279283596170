"""The TCP port of a cluster: chosen once and kept, for clients reconnect to it."""

import secrets
import socket
from pathlib import Path

from workers.embedded import files
from workers.embedded.files import EmbeddedUnavailable, Folder

HOST = "127.0.0.1"
# Below the ports that outgoing connections get (from 32768 on Linux, 49152 on macOS).
# In that range a client that keeps trying a stopped server's port would one day be
# given this very port as its own end, and connect to itself.
FIRST, LAST = 20000, 32767
TRIES = 100
LINUX_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose(folder: Folder) -> int:
    """The remembered port, or a new one when there is none or it is taken."""
    remembered = files.read_text(folder.port)
    if remembered.isdigit() and _is_free(int(remembered)):
        return int(remembered)
    port = _unused()
    files.write_private(folder.port, str(port))
    return port


def answers(port: int) -> bool:
    """Whether something listens on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=2):
            return True
    except OSError:
        return False


def _unused() -> int:
    span = _last() - FIRST + 1
    for _ in range(TRIES):
        port = FIRST + secrets.randbelow(span)
        if _is_free(port):
            return port
    raise EmbeddedUnavailable(
        f"no free port on {HOST} between {FIRST} and {FIRST + span - 1}: "
        f"stop what listens there, or {files.OWN_SERVER}"
    )


def _last() -> int:
    lowest = int((files.read_text(LINUX_RANGE).split() or ["0"])[0])
    return min(lowest - 1, LAST) if lowest > FIRST + TRIES else LAST


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As Postgres does: connections of the last server that still wind down are no
        # obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
        return True
