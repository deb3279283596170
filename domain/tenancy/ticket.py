"""A ticket: stands for a key once, where the key itself must not be.

A browser's `EventSource` sends no headers, and a URL is written to logs and histories. So
what stands in it is worth nothing a moment later: it lives 30 s, opens one stream, and is
kept as a hash.
"""

import hashlib
import re
import secrets

from domain import ids

PREFIX = "dbt_"
LIFE_SECONDS = 30
_DIGITS = 52  # 256 random bits and a few
_FORM = re.compile(f"{PREFIX}[{ids.ALPHABET}]{{{_DIGITS}}}")


def generate() -> str:
    """A fresh ticket."""
    return PREFIX + "".join(secrets.choice(ids.ALPHABET) for _ in range(_DIGITS))


def is_well_formed(ticket: str) -> bool:
    """Whether the text can be a ticket at all; spares the database a look-up."""
    return _FORM.fullmatch(ticket) is not None


def digest(ticket: str) -> bytes:
    """What is kept of a ticket: SHA-256, as of a key."""
    return hashlib.sha256(ticket.encode()).digest()
