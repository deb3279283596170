"""A delivery's request: the body from stored bytes, the headers, the signature.

Standard Webhooks 1.0 (https://www.standardwebhooks.com): the id is the event's and the same
over all attempts, the timestamp is the attempt's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Protocol
from uuid import UUID

import msgspec

from domain import clock, ids
from domain.ids import DeliveryKey
from domain.traces import Trace
from domain.webhooks import signing
from domain.webhooks.body import Rendered
from domain.webhooks.headers import HIDDEN, is_reserved
from domain.webhooks.settings import Scheme
from projections.tracing import Attempt
from projections.vault import Sealed, Vault, headers_place, webhook_place
from projections.webhooks import bodies, ed25519
from projections.webhooks.bodies import Content
from workers.webhooks.sender import Outgoing

USER_AGENT = f"Daybook/{version('daybook')}"


@dataclass(frozen=True, slots=True)
class Key:
    """A secret to sign with, sealed; it signs until it expires."""

    scheme: Scheme
    version: int
    sealed: Sealed
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a lane's requests go and what they carry: the webhook as it is now.

    `keys`: those of the schemes in `signing` that have not expired, newest first.
    `headers`: the sealed values, with `headers_version`; None: the webhook has none.
    """

    tenant_id: UUID
    webhook_id: UUID
    webhook_number: int
    webhook_version: int
    url: str
    timeout_seconds: float
    networks: Sequence[str] | None
    keys: Sequence[Key]
    headers: Sealed | None
    headers_version: int
    replay: int = 0
    replay_id: str | None = None
    fresh_ids: bool = False


class Due(Content, Protocol):
    """A delivery whose attempt begins now; `format` is that of the version in force at
    the event's position (`webhook_versions`)."""

    sequence: int | None
    number: int


def delivery_key(target: Target, due: Due) -> DeliveryKey:
    """What the delivery's id names."""
    return DeliveryKey(due.position, target.webhook_number, target.replay)


def cause(target: Target, due: Due) -> Trace:
    """What published the event, as a span."""
    return bodies.cause(target.tenant_id, due)


def compose(target: Target, due: Due, vault: Vault, attempt: Attempt) -> Outgoing:
    """The request of this attempt. Raises VaultError.

    The body names the publisher's span, as it is the same on every attempt; the header
    names the attempt's own.
    """
    rendered = bodies.render(target.tenant_id, due, attempt.cause)
    ours = {
        "daybook-type": due.type,
        "daybook-position": str(due.position),
        "daybook-delivery": ids.delivery(delivery_key(target, due)),
        "daybook-attempt": str(due.number),
        "traceparent": attempt.traceparent,
    }
    if due.sequence is not None:
        ours["daybook-sequence"] = str(due.sequence)
    message_id = due.event_id
    if target.replay_id is not None:
        ours["daybook-replay"] = target.replay_id
        if target.fresh_ids:
            message_id = f"{due.event_id}_{target.replay_id}"
    return outgoing(target, message_id, rendered, ours, vault)


def outgoing(
    target: Target,
    message_id: str,
    rendered: Rendered,
    ours: dict[str, str],
    vault: Vault,
) -> Outgoing:
    """A request as it leaves now, signed with every active secret. Raises VaultError."""
    now = clock.now()
    timestamp = int(now.timestamp())
    content = signing.content(message_id, timestamp, rendered.body)
    signatures = [
        _signature(target, key, content, vault)
        for key in target.keys
        if key.expires_at is None or key.expires_at > now
    ]
    standard = {
        "content-type": rendered.content_type,
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
    headers = {**_own_headers(target, vault), **standard, **rendered.headers, **ours}
    return Outgoing(
        target.url, headers, rendered.body, target.timeout_seconds, target.networks
    )


# Secrets that stay the same over requests are opened once: they are in this process's
# memory either way.
@lru_cache(maxsize=4096)
def _opened(
    vault: Vault, sealed: Sealed, place: tuple[UUID, UUID, int, Scheme]
) -> bytes:
    return vault.open(sealed, webhook_place(*place))


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of a request for its tenant to see: neither signatures nor their own."""
    return {
        name: value if is_reserved(name) else HIDDEN
        for name, value in headers.items()
        if name != "webhook-signature"
    }


def _signature(target: Target, key: Key, content: bytes, vault: Vault) -> str:
    place = (target.tenant_id, target.webhook_id, key.version, key.scheme)
    secret = _opened(vault, key.sealed, place)
    sign = ed25519.signature if key.scheme == "v1a" else signing.signature
    return sign(secret, content)


def _own_headers(target: Target, vault: Vault) -> dict[str, str]:
    """Those that the tenant has set."""
    if target.headers is None:
        return {}
    version = target.headers_version
    place = headers_place(target.tenant_id, target.webhook_id, version)
    return msgspec.json.decode(vault.open(target.headers, place), type=dict[str, str])
