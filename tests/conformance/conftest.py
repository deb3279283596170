"""The senders under test, and certificates for a name of our own."""

import datetime
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers.webhooks.aiohttp_sender import AiohttpSender
from workers.webhooks.egress import client_tls
from workers.webhooks.httpx_sender import HttpxSender
from workers.webhooks.sender import Sender

MakeSender = Callable[..., Sender]


@pytest.fixture(params=[AiohttpSender, HttpxSender], ids=["aiohttp", "httpx"])
async def make_sender(request: pytest.FixtureRequest) -> AsyncIterator[MakeSender]:
    """Makes senders of the kind under test, in development mode unless told."""
    made: list[Sender] = []

    def make(development: bool = True, **options: Any) -> Sender:
        made.append(request.param(development, **options))
        return made[-1]

    yield make
    for sender in made:
        await sender.close()


@pytest.fixture
async def sender(make_sender: MakeSender) -> Sender:
    """A sender in development mode; made, as it must be, inside the loop."""
    return make_sender()


@dataclass(frozen=True)
class Certified:
    """A server that is `hook.test`, and a client that trusts its authority."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """A certificate that signs itself: only who is told to trusts it."""
    return certify(tmp_path_factory.mktemp("tls"), "hook.test")


def certify(
    folder: Path, name: str, *, days: tuple[int, int] = (-1, 1), is_named: bool = True
) -> Certified:
    """A certificate, valid from and until so many days from now; `is_named`: in the place
    where names are looked for, not in its subject alone."""
    path = folder / "hook.pem"
    _write_certificate(path, name, days, is_named)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = client_tls()
    client.load_verify_locations(path)
    return Certified(server, client)


def _write_certificate(
    path: Path, name: str, days: tuple[int, int], is_named: bool
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
    )
    if is_named:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
