"""Signatures a receiver can check: Standard Webhooks 1.0, `v1` (HMAC-SHA256).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

The other scheme, `v1a` (Ed25519), signs the same content; its arithmetic is not pure
Python's, so it stands in projections/webhooks/ed25519.py.
"""

import base64
import binascii
import hmac
import re
import secrets as randomness
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
NEW_BYTES = 32
FEWEST_BYTES, MOST_BYTES = 24, 64  # of the specification, "Signature scheme"
TOLERANCE = 300  # seconds a message may be old, or ahead, before it counts as replayed

_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_TIMESTAMP = re.compile(r"[0-9]{1,15}")


class MalformedSecret(ValueError):
    """The text is not `whsec_` and the base64 of 24 to 64 bytes; it is not repeated."""


class SignatureRefused(Exception):
    """The message is not, or not provably, from who holds the secret."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def new_secret() -> bytes:
    """A fresh secret."""
    return randomness.token_bytes(NEW_BYTES)


def format_secret(secret: bytes) -> str:
    """The secret as people and other libraries pass it around."""
    return PREFIX + base64.b64encode(secret).decode()


def parse_secret(text: str) -> bytes:
    """The inverse of `format_secret`; raises MalformedSecret."""
    if not text.startswith(PREFIX):
        raise MalformedSecret("a secret begins with 'whsec_'")
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):  # the latter: not ASCII
        raise MalformedSecret("a secret is standard base64 after 'whsec_'") from None
    if not FEWEST_BYTES <= len(secret) <= MOST_BYTES:
        raise MalformedSecret(f"a secret has {FEWEST_BYTES} to {MOST_BYTES} bytes")
    return secret


def content(message_id: str, timestamp: int, body: bytes) -> bytes:
    """What is signed; `timestamp` is in seconds."""
    # `verify` comes here with any header; this keeps two ids two, and never raises.
    return f"{message_id}.{timestamp}.".encode(errors="surrogatepass") + body


def signature(secret: bytes, signed: bytes) -> str:
    """The `v1` signature of some content."""
    digest = hmac.digest(secret, signed, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature for each active secret."""
    signed = content(message_id, timestamp, body)
    return " ".join(signature(secret, signed) for secret in secrets)


def verify(
    secrets: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: int,
    tolerance: int = TOLERANCE,
) -> None:
    """What a receiver does; raises SignatureRefused. `now` is in seconds."""
    message_id, timestamp, signatures = _required(headers)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureRefused("webhook-timestamp is not in seconds")
    if abs(now - int(timestamp)) > tolerance:
        raise SignatureRefused("webhook-timestamp is too far from the present")
    expected = sign(secrets, message_id, int(timestamp), body).split()
    if not _any_equal(expected, signatures.split(" ")):
        raise SignatureRefused("no signature matches")


def _required(headers: Mapping[str, str]) -> list[str]:
    found = {name.lower(): value for name, value in headers.items()}
    for name in _HEADERS:
        if not found.get(name):
            raise SignatureRefused(f"{name} is missing")
    return [found[name] for name in _HEADERS]


def _any_equal(expected: Sequence[str], received: Sequence[str]) -> bool:
    # As bytes: compare_digest refuses str outside ASCII, and a header holds anything.
    return any(
        hmac.compare_digest(ours.encode(), theirs.encode(errors="surrogatepass"))
        for ours in expected
        for theirs in received
    )
