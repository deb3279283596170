"""A delivery's attempts as they are shown: what each request carried, what came back.

Headers are functions of the delivery and the attempt: they are made again, not kept. But
for the signature and the span, which are each attempt's own, and for secret values.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from api import shapes
from api.webhooks import shown
from api.webhooks.schemas import (
    Attempt,
    AttemptRequest,
    AttemptResponse,
    DeliveryWithAttempts,
)
from domain import ids
from domain.webhooks.body import Rendered
from domain.webhooks.headers import HIDDEN
from projections.vault import Sealed, Vault, VaultError, snippet_place
from projections.webhooks import bodies, deliveries
from projections.webhooks.deliveries import Content, Delivery

log = structlog.get_logger("daybook.api")


def body(tenant_id: UUID, content: Content) -> Rendered:
    """What was sent, to the last byte."""
    return bodies.render(tenant_id, content, bodies.cause(tenant_id, content))


def with_attempts(
    tenant_id: UUID,
    row: Delivery,
    attempts: Sequence[deliveries.Attempt],
    content: Content,
    vault: Vault | None,
) -> DeliveryWithAttempts:
    """A delivery with what was tried; without a vault what receivers said is left out."""
    rendered = body(tenant_id, content)
    return DeliveryWithAttempts(
        **msgspec.structs.asdict(shown.delivery(row)),
        attempts=[
            _attempt(
                one,
                row,
                _headers(one, row, content, rendered),
                _snippet(tenant_id, one, row, vault),
            )
            for one in attempts
        ],
    )


def _attempt(
    row: deliveries.Attempt, of: Delivery, headers: dict[str, str], snippet: str | None
) -> Attempt:
    return Attempt(
        id=ids.attempt(of.key._replace(number=row.number)),
        delivery_id=ids.delivery(of.key),
        number=row.number,
        trigger=row.trigger,
        started_at=shapes.time(row.started_at),
        duration_ms=None if row.duration_ms is None else round(row.duration_ms, 1),
        status_code=row.status_code,
        error=row.error,
        detail=row.detail,
        retry_after_seconds=row.retry_after_seconds,
        request=AttemptRequest(
            headers=headers,
            body_bytes=row.body_bytes,
            body_sha256=row.body_sha256.hex() if row.body_sha256 else None,
        ),
        response=AttemptResponse(
            headers=row.response_headers or {},
            body_bytes=row.response_bytes,
            snippet=snippet,
        ),
    )


def _headers(
    row: deliveries.Attempt, of: Delivery, content: Content, rendered: Rendered
) -> dict[str, str]:
    names: Sequence[str] = ()
    if row.webhook_version >= content.headers_version:
        names = content.header_names  # of an older attempt nobody knows them any more
    headers = dict.fromkeys(names, HIDDEN) | {
        "content-type": rendered.content_type,
        "webhook-id": of.event_id,
        "webhook-timestamp": str(int(row.started_at.timestamp())),
        **rendered.headers,
        "daybook-type": of.type,
        "daybook-position": str(of.position),
        "daybook-delivery": ids.delivery(of.key),
        "daybook-attempt": str(row.number),
    }
    if of.sequence is not None:
        headers["daybook-sequence"] = str(of.sequence)
    if of.replay_id is not None:
        headers["daybook-replay"] = ids.encode("rpl", of.replay_id)
        if content.fresh_ids:
            headers["webhook-id"] = f"{of.event_id}_{headers['daybook-replay']}"
    return headers


def _snippet(
    tenant_id: UUID, row: deliveries.Attempt, of: Delivery, vault: Vault | None
) -> str | None:
    """The beginning of the answer, where the webhook keeps it."""
    if vault is None or row.snippet_key_id is None or row.snippet is None:
        return None
    place = snippet_place(tenant_id, of.webhook_id, of.position, row.number)
    try:
        opened = vault.open(Sealed(row.snippet_key_id, bytes(row.snippet)), place)
    except VaultError:  # its key was taken away: the rest is shown all the same
        log.warning("snippet_sealed", webhook=str(of.webhook_id))
        return None
    return opened.decode("utf-8", "replace")
