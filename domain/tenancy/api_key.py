"""An API key: what it may do. The key itself is shown once and kept as a hash, elsewhere.

Form: `dbk_`, 256 random bits in 52 digits, 6 digits of checksum. The prefix lets secret
scanners find a leaked one; the checksum lets them, and us, tell a key from a typo.
"""

import hashlib
import secrets
from collections.abc import Collection
from uuid import UUID

from eventsourcing.domain import event

from domain import grammar, ids, model
from domain.errors import Fault, NotFound
from domain.model import Aggregate

# Whose log has the keys that belong to no tenant: platform keys.
PLATFORM = UUID(int=0)

PREFIX = "dbk_"
HINT = 8  # how many characters of a key a list shows
_DIGITS, _CHECK = 52, 6

# What a key may be allowed. Scopes for calls that are not built yet are not given out.
SCOPES = (
    "events:write",
    "events:read",
    "types:write",
    "consumers:write",
    "webhooks:read",
    "webhooks:write",
    "deliveries:retry",
    "keys:admin",
)
# Beside others on a platform key: it acts for the tenant that each request names.
ACT = "tenants:act"

LONGEST_OVERLAP = 7 * 86_400  # seconds in which a key and its successor both work


class ApiKey(Aggregate):
    """A named credential of one tenant, or of the platform."""

    TOPIC = "daybook/key"

    @event("Created", topic="daybook.key.created")
    def __init__(
        self,
        id: str,
        name: str,
        scopes: list[str],
        expires_at: str | None,
    ) -> None:
        self.name = name
        self.scopes = scopes
        self.expires_at = expires_at
        self.is_revoked = False

    def rotate(
        self,
        name: str,
        scopes: list[str],
        expires_at: str | None,
        previous_expires_at: str | None,
    ) -> None:
        """Another key takes this one's place; until then both work. Raises NotFound."""
        if self.is_revoked:
            raise NotFound
        self._rotate(name, scopes, expires_at, previous_expires_at)

    @event("Rotated", topic="daybook.key.rotated")
    def _rotate(
        self,
        name: str,
        scopes: list[str],
        expires_at: str | None,
        previous_expires_at: str | None,
    ) -> None:
        self.name = name
        self.scopes = scopes
        self.expires_at = expires_at

    def revoke(self) -> None:
        """End it, at once and for good."""
        if not self.is_revoked:
            self._revoke()

    @event("Revoked", topic="daybook.key.revoked")
    def _revoke(self) -> None:
        self.is_revoked = True


def originator_id(tenant_id: UUID, key_id: UUID) -> str:
    """Its stream: `$key/key_...`."""
    return model.originator_id(tenant_id, f"$key/{ids.encode('key', key_id)}")


def generate() -> str:
    """A fresh key."""
    body = "".join(secrets.choice(ids.ALPHABET) for _ in range(_DIGITS))
    return f"{PREFIX}{body}{_checksum(body)}"


def is_well_formed(key: str) -> bool:
    """Whether the text can be a key at all; spares the database a look-up for a typo."""
    body, check = key[len(PREFIX) : -_CHECK], key[-_CHECK:]
    return (
        key.startswith(PREFIX)
        and len(body) == _DIGITS
        and secrets.compare_digest(_checksum(body).encode(), check.encode())
    )


def digest(key: str) -> bytes:
    """What is kept of a key: SHA-256; it has 256 random bits, so slowness adds nothing."""
    return hashlib.sha256(key.encode()).digest()


def check(
    name: str,
    scopes: Collection[str],
    own: Collection[str],
    *,
    is_platform: bool = False,
) -> list[Fault]:
    """What is wrong with a key; `own` are the scopes that its maker may hand on."""
    faults = grammar.check_name(name)
    known = (*SCOPES, ACT) if is_platform else SCOPES
    if not scopes:
        faults.append(Fault("#/scopes", "invalid", "name at least one scope"))
    for number, scope in enumerate(scopes):
        pointer = f"#/scopes/{number}"
        if scope not in known:
            names = " ".join(known)
            faults.append(Fault(pointer, "invalid", f"the scopes are: {names}"))
        elif scope not in own:
            faults.append(
                Fault(pointer, "invalid", "a key hands on its own scopes only")
            )
    return faults


def _checksum(body: str) -> str:
    number = int.from_bytes(hashlib.sha256(body.encode()).digest()[:4])
    return "".join(ids.ALPHABET[number >> 5 * n & 31] for n in range(_CHECK))
