"""Signatures: the published vector, somebody else's library, and what is refused."""

import time
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks import signing

# From the Standard Webhooks reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = signing.parse_secret(SECRET)
OTHER = b"o" * 32


def headers(**changes: str) -> dict[str, str]:
    sent = {"id": ID, "timestamp": str(AT), "signature": SIGNATURE} | changes
    return {f"webhook-{name}": value for name, value in sent.items()}


def test_the_published_vector() -> None:
    assert signing.sign([KEY], ID, AT, BODY) == SIGNATURE


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=24, max_size=64), st.integers(0, 2**33), st.text(max_size=50))
def test_another_library_signs_the_same(key: bytes, at: int, text: str) -> None:
    theirs = standardwebhooks.Webhook(key)

    expected = theirs.sign(ID, datetime.fromtimestamp(at, UTC), text)

    assert signing.sign([key], ID, at, text.encode()) == expected


@pytest.mark.parametrize("active", [[KEY], [KEY, OTHER], [OTHER, KEY]])
def test_another_library_accepts_ours_during_a_rotation(active: list[bytes]) -> None:
    at = int(time.time())
    sent = headers(timestamp=str(at), signature=signing.sign(active, ID, at, BODY))

    received = standardwebhooks.Webhook(SECRET).verify(BODY, sent)

    assert received == {"test": 2432232314}


def test_every_active_secret_signs() -> None:
    both = signing.sign([KEY, OTHER], ID, AT, BODY)

    assert both.split() == [
        signing.sign([KEY], ID, AT, BODY),
        signing.sign([OTHER], ID, AT, BODY),
    ]


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        ([KEY], {}),
        ([OTHER, KEY], {}),
        ([KEY], {"signature": f"v1a,abc junk v1 v1,é {SIGNATURE}"}),
    ],
)
def test_a_signature_of_a_known_secret_is_accepted(
    known: list[bytes], changes: dict[str, str]
) -> None:
    signing.verify(known, headers(**changes), BODY, AT)


def test_header_names_have_no_case() -> None:
    sent = {name.title(): value for name, value in headers().items()}

    signing.verify([KEY], sent, BODY, AT)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_five_minutes_either_way_are_tolerated(seconds: int) -> None:
    signing.verify([KEY], headers(), BODY, AT + seconds)


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"id": "msg_other"}, "no signature"),
    ({"id": "\udcff\ud800"}, "no signature"),
    ({"timestamp": str(AT + 1)}, "no signature"),
    ({"signature": "v1,"}, "no signature"),
    ({"signature": SIGNATURE.replace("v1,", "v1a,")}, "no signature"),
    ({"signature": SIGNATURE[3:]}, "no signature"),
    ({"signature": "é \udcff"}, "no signature"),
    ({"id": ""}, "webhook-id is missing"),
    ({"signature": ""}, "webhook-signature is missing"),
    ({"timestamp": f"{AT}.0"}, "not in seconds"),
    ({"timestamp": f" {AT}"}, "not in seconds"),
    ({"timestamp": "\u0663"}, "not in seconds"),
    ({"timestamp": "9" * 5_000}, "not in seconds"),
    ({"timestamp": str(AT - 301)}, "too far"),
    ({"timestamp": str(AT + 301)}, "too far"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_is_not_proven_is_refused(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(signing.SignatureRefused, match=reason):
        signing.verify([KEY], headers(**changes), BODY, AT)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(signing.SignatureRefused):
        signing.verify([KEY], headers(), BODY + b" ", AT)


@pytest.mark.parametrize("known", [[], [OTHER]])
def test_an_unknown_secret_is_refused(known: list[bytes]) -> None:
    with pytest.raises(signing.SignatureRefused):
        signing.verify(known, headers(), BODY, AT)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=24, max_size=64))
def test_a_secret_survives_its_text(secret: bytes) -> None:
    assert signing.parse_secret(signing.format_secret(secret)) == secret


def test_a_new_secret_is_long_and_never_the_same() -> None:
    first, second = signing.new_secret(), signing.new_secret()

    assert len(first) == 32
    assert first != second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        SECRET + "\n",
        SECRET[:-1],
        "whsec_" + "é" * 32,
        "whsec_" + "-_" * 16,
        signing.format_secret(b"s" * 23),
        signing.format_secret(b"s" * 65),
    ],
)
def test_what_is_not_a_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(signing.MalformedSecret) as caught:
        signing.parse_secret(text)

    assert len(text) < 10 or text[6:] not in str(caught.value)
