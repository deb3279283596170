"""`v1a` signatures: the vector of the reference server, and what the public key accepts."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks import signing
from projections.webhooks import ed25519

# From the tests of svix-server; a private key there is seed and public half together.
SECRET_KEY = (
    "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicM"
    "Fs6Kvg=="
)
PUBLIC_KEY = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNATURE = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl"
    "8EM+m7TBAg=="
)
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'

SEED = base64.b64decode(SECRET_KEY)[:32]


def verify(public: str, signed: bytes, signature: str) -> None:
    """What a receiver does, with nothing but the library of its language."""
    raw = base64.b64decode(public.removeprefix("whpk_"))
    made = base64.b64decode(signature.removeprefix("v1a,"))
    Ed25519PublicKey.from_public_bytes(raw).verify(made, signed)


def test_the_published_vector() -> None:
    assert ed25519.public_key(SEED) == PUBLIC_KEY
    assert ed25519.signature(SEED, signing.content(ID, AT, BODY)) == SIGNATURE


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_the_public_key_accepts_this_content_and_no_other(
    seed: bytes, body: bytes
) -> None:
    public, signed = ed25519.public_key(seed), signing.content(ID, AT, body)
    made = ed25519.signature(seed, signed)
    verify(public, signed, made)
    for other in (
        signing.content(ID, AT, body + b" "),
        signing.content(ID, AT + 1, body),
        signing.content("msg_other", AT, body),
    ):
        with pytest.raises(InvalidSignature):
            verify(public, other, made)


def test_a_new_key_is_never_the_same() -> None:
    first, second = ed25519.new_seed(), ed25519.new_seed()
    assert len(first) == 32
    assert first != second
