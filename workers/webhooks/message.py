"""A delivery's request: the body from stored bytes, the headers, the signature.

Standard Webhooks 1.0 (https://www.standardwebhooks.com): the id is the event's and the same
over all attempts, the timestamp is the attempt's.
"""

from importlib.metadata import version

from domain import clock, ids
from domain.ids import DeliveryKey
from domain.webhooks import body, signing
from projections.vault import Sealed, Vault, webhook_place
from projections.webhooks.lanes import Due
from workers.webhooks.sender import Outgoing

USER_AGENT = f"Daybook/{version('daybook')}"
NO_METADATA = b"{}"


def delivery_key(due: Due) -> DeliveryKey:
    """What the delivery's id names."""
    return DeliveryKey(due.position, due.webhook_number, due.replay)


def compose(due: Due, vault: Vault) -> Outgoing:
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
            tenant_id=ids.encode("ten", due.tenant_id),
            metadata=due.metadata or NO_METADATA,
        )
    )
    headers = {
        "daybook-type": due.type,
        "daybook-position": str(due.position),
        "daybook-delivery": ids.delivery(delivery_key(due)),
        "daybook-attempt": str(due.number),
    }
    if due.sequence is not None:
        headers["daybook-sequence"] = str(due.sequence)
    sealed = Sealed(due.key_id, due.sealed)
    secret = vault.open(
        sealed, webhook_place(due.tenant_id, due.webhook_id, due.secret_version)
    )
    return signed(due.url, due.event_id, headers, content, secret, due.timeout_seconds)


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
