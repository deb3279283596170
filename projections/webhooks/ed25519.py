"""`v1a` signatures of Standard Webhooks: Ed25519 (RFC 8032), checked with a public key.

Who can check them cannot make them, so a receiver may show its key to anybody. The private
half is kept as its seed, sealed like any other secret, and never leaves.
"""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_PREFIX = "whpk_"


def new_seed() -> bytes:
    """A fresh private key, 32 bytes."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key(seed: bytes) -> str:
    """The public half as people and libraries pass it around."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return PUBLIC_PREFIX + base64.b64encode(public.public_bytes_raw()).decode()


def signature(seed: bytes, signed: bytes) -> str:
    """The `v1a` signature of some content."""
    made = Ed25519PrivateKey.from_private_bytes(seed).sign(signed)
    return "v1a," + base64.b64encode(made).decode()
