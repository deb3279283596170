"""How webhooks, their deliveries and event types look, and what is sent to act on them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from api.shapes import (
    Actor,
    AttemptId,
    DeliveryId,
    EventId,
    Time,
    WebhookId,
)
from domain.webhooks.delivery import State
from domain.webhooks.retry import Schedule
from domain.webhooks.settings import DisableAfter, Format, OnDead, Ordering, Scheme
from domain.webhooks.subscription import Resume

_Object = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class EnableWebhook(Struct, forbid_unknown_fields=True):
    """Whether what waited is sent, in order, or cancelled."""

    resume: Resume = "continue"


class DisableWebhook(Struct, forbid_unknown_fields=True):
    """Why; a note for people, kept in the log."""

    reason: str | None = None


class SendTest(Struct, forbid_unknown_fields=True):
    """What to send: an event type's example unless `data` is given."""

    type: str | None = None
    data: Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})] = (
        msgspec.field(default_factory=Raw)
    )


class Disabled(Struct):
    """Since when nothing is attempted, and why."""

    at: Time
    reason: Literal["manual", "gone", "failures"]
    position: int


class Webhook(Struct, kw_only=True):
    """A webhook as it is now, or was. `secret` is shown once, when it is made.

    `health` is null for the past: it is no part of what a webhook was told.
    """

    id: WebhookId
    url: str
    name: str | None
    description: str | None
    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None
    format: Format
    signing: list[Scheme]
    headers: dict[str, str]
    retry: str | Schedule
    timeout_seconds: int
    rate_per_second: float | None
    max_in_flight: int
    ordering: Ordering
    on_dead: OnDead
    disable_after: DisableAfter
    keep_response: bool
    networks: list[str] | None
    metadata: dict[str, Any]
    state: Literal["active", "disabled"]
    health: Literal["ok", "failing", "open"] | None
    disabled: Disabled | None
    version: int
    created_by: Actor
    created_at: Time
    updated_at: Time
    public_key: str | None
    secret: str | None


class WebhookPage(Struct):
    """A page of webhooks, oldest first."""

    data: list[Webhook]
    next: str | None
    prev: str | None


class AttemptRequest(Struct):
    """What was sent; the body itself is rendered again from the event."""

    headers: dict[str, str]
    body_bytes: int | None
    body_sha256: str | None


class AttemptResponse(Struct):
    """What came back."""

    headers: dict[str, str]
    body_bytes: int | None
    snippet: str | None


class Attempt(Struct, kw_only=True):
    """One HTTP request."""

    id: AttemptId
    delivery_id: DeliveryId | None
    number: int
    trigger: str
    started_at: Time
    duration_ms: float | None
    status_code: int | None
    error: str | None
    detail: str | None
    retry_after_seconds: int | None
    request: AttemptRequest
    response: AttemptResponse


class Delivery(Struct, kw_only=True):
    """An event on its way to one webhook."""

    id: DeliveryId
    webhook_id: WebhookId
    webhook_version: int
    event_id: EventId
    type: str
    stream: str
    position: int
    sequence: int | None
    replay_id: str | None
    state: State
    attempt_count: int
    next_attempt_at: Time | None
    status_code: int | None
    error: str | None
    created_at: Time
    finished_at: Time | None


class DeliveryWithAttempts(Delivery):
    """A delivery and every attempt of it."""

    attempts: list[Attempt]


class DeliveryPage(Struct):
    """A page of deliveries, newest first."""

    data: list[Delivery]
    next: str | None
    prev: str | None


class TestUnanswered(Struct):
    """No worker answered in time; `taken` says whether one had begun."""

    taken: bool


class Delivered(Struct):
    """The body a receiver gets. Verify `webhook-signature` before you read it."""

    id: EventId
    type: str
    timestamp: Time
    data: _Object
    stream: str | None
    version: int | None
    position: int | None
    subject: str | None
    tenant_id: str
    metadata: _Object
