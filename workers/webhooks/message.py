"""A delivery's request: the body from stored bytes, the headers, the signature.

Standard Webhooks 1.0 (https://www.standardwebhooks.com): the id is the event's and the same
over all attempts, the timestamp is the attempt's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Protocol
from uuid import UUID

from domain import clock, ids
from domain.ids import DeliveryKey
from domain.webhooks import body, signing
from domain.webhooks.settings import Format, Scheme
from projections.vault import Sealed, Vault, webhook_place
from workers.webhooks.sender import Outgoing

USER_AGENT = f"Daybook/{version('daybook')}"
NO_METADATA = b"{}"


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


class Due(Protocol):
    """A delivery whose attempt begins now; `format` is that of the version in force at
    the event's position (`webhook_versions`). `version` is the event's in its stream."""

    position: int
    sequence: int | None
    number: int
    event_id: str
    type: str
    stream: str
    version: int
    state: bytes
    metadata: bytes | None
    source: str | None
    subject: str | None
    correlation_id: str | None
    causation_id: str | None
    occurred_at: datetime
    format: Format


def delivery_key(target: Target, due: Due) -> DeliveryKey:
    """What the delivery's id names."""
    return DeliveryKey(due.position, target.webhook_number, target.replay)


def compose(target: Target, due: Due, vault: Vault) -> Outgoing:
    """The request of this attempt. Raises VaultError."""
    content = body.standard(
        body.Event(
            id=due.event_id,
            type=due.type,
            occurred_at=due.occurred_at,
            data=due.state,
            stream=due.stream,
            version=due.version,
            position=due.position,
            subject=due.subject,
            tenant_id=ids.encode("ten", target.tenant_id),
            metadata=due.metadata or NO_METADATA,
        )
    )
    headers = {
        "daybook-type": due.type,
        "daybook-position": str(due.position),
        "daybook-delivery": ids.delivery(delivery_key(target, due)),
        "daybook-attempt": str(due.number),
    }
    if due.sequence is not None:
        headers["daybook-sequence"] = str(due.sequence)
    message_id = due.event_id
    if target.replay_id is not None:
        headers["daybook-replay"] = target.replay_id
        if target.fresh_ids:
            message_id = f"{due.event_id}_{target.replay_id}"
    key = target.keys[0]
    place = webhook_place(target.tenant_id, target.webhook_id, key.version)
    secret = vault.open(key.sealed, place)
    return signed(
        target.url, message_id, headers, content, secret, target.timeout_seconds
    )


def signed(
    url: str,
    message_id: str,
    headers: dict[str, str],
    content: bytes,
    secret: bytes,
    timeout_seconds: float,
) -> Outgoing:
    """A request with the three headers of Standard Webhooks before ours."""
    timestamp = int(clock.now().timestamp())
    standard = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign([secret], message_id, timestamp, content),
    }
    return Outgoing(url, standard | headers, content, timeout_seconds)
