"""Secrets at rest: AES-256-GCM (NIST SP 800-38D), each bound to where it belongs.

The additional data names tenant, webhook and version, so a sealed secret that is copied to
another row does not open there. Keys have names, so they can be replaced: the first of the
list seals, every one opens.
"""

import base64
import binascii
import secrets
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from projections.settings import SettingsError

_NONCE = 12


class Sealed(NamedTuple):
    """A sealed secret and the name of the key that opens it."""

    key_id: str
    data: bytes

    def params(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return {"key_id": self.key_id, "sealed": self.data}


class VaultError(RuntimeError):
    """A secret does not open: a key is missing, or the row was tampered with."""


class Vault:
    """Seals and opens; made from `DAYBOOK_SECRET_KEYS`."""

    def __init__(self, keys: str) -> None:
        self._keys = dict(_parse(part) for part in keys.split(","))
        self.first = next(iter(self._keys))  # the name of the one that seals

    def seal(self, secret: bytes, place: str) -> Sealed:
        """Seal for `place`, a text that names the row."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._keys[self.first].encrypt(nonce, secret, place.encode())
        return Sealed(self.first, nonce + sealed)

    def open(self, sealed: Sealed, place: str) -> bytes:
        """The secret sealed for `place`; raises VaultError."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise VaultError(
                f"secret key {sealed.key_id!r} is not among DAYBOOK_SECRET_KEYS"
            )
        nonce, data = sealed.data[:_NONCE], sealed.data[_NONCE:]
        try:
            return key.decrypt(nonce, data, place.encode())
        except InvalidTag:
            raise VaultError(f"a secret does not open at {place}") from None


def generate_keys() -> str:
    """A value for `DAYBOOK_SECRET_KEYS`, with one fresh key."""
    return f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def webhook_place(
    tenant_id: object, webhook_id: object, version: int, scheme: str = "v1"
) -> str:
    """Where a webhook's secret belongs."""
    place = f"webhook_secrets/{tenant_id}/{webhook_id}/{version}"
    return place if scheme == "v1" else f"{place}/{scheme}"


def headers_place(tenant_id: object, webhook_id: object, version: int) -> str:
    """Where the values of a webhook's headers belong."""
    return f"webhook_headers/{tenant_id}/{webhook_id}/{version}"


def snippet_place(
    tenant_id: object, webhook_id: object, position: int, number: int
) -> str:
    """Where the beginning of an attempt's answer belongs."""
    return f"attempts/{tenant_id}/{webhook_id}/{position}/{number}"


def _parse(part: str) -> tuple[str, AESGCM]:
    name, _, text = part.strip().partition(":")
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if not name or len(key) != 32:
        raise SettingsError(
            "DAYBOOK_SECRET_KEYS: each key is name:base64 of 32 bytes. "
            'A fresh one: python3 -c "import base64, os; '
            "print('k1:' + base64.b64encode(os.urandom(32)).decode())\""
        )
    return name, AESGCM(key)
