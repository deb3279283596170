"""What is sent to make and change webhooks, and how they and their deliveries look."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.pagination import PageQuery
from api.shapes import (
    MOST_INTEGER,
    Actor,
    AtLeast,
    AttemptId,
    DeliveryId,
    EventId,
    Time,
    TimeIn,
    WebhookId,
)
from domain.webhooks.delivery import State
from domain.webhooks.retry import DEFAULT as DEFAULT_RETRY
from domain.webhooks.subscription import Resume

_Object = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
_Whole = Annotated[int, Meta(ge=0, le=MOST_INTEGER)]


class WebhookSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a webhook is told; null or left out means the default."""

    url: Annotated[str, Meta(description="https, port 443, a public host")]
    event_types: Annotated[
        list[str], Meta(description="patterns: a type, `prefix.*`, or `*`")
    ]
    name: str | None = None
    description: str | None = None
    retry: Annotated[str | None, Meta(description="fast, durable or standard")] = (
        DEFAULT_RETRY
    )
    timeout_seconds: Annotated[_Whole | None, Meta(description="1 to 30")] = 15
    max_in_flight: Annotated[_Whole | None, Meta(description="1 to 50")] = 10
    metadata: Annotated[
        dict[str, Any] | None, Meta(description="your own notes, up to 8 KiB")
    ] = msgspec.field(default_factory=dict)


class WebhookChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """The settings to replace, as above; null goes back to the default."""

    url: str | UnsetType = UNSET
    event_types: list[str] | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    retry: str | UnsetType | None = UNSET
    timeout_seconds: _Whole | UnsetType | None = UNSET
    max_in_flight: _Whole | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


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
    """A webhook as it is now. `secret` is shown once, when it is made."""

    id: WebhookId
    url: str
    name: str | None
    description: str | None
    event_types: list[str]
    streams: list[str]
    filter: dict[str, Any] | None
    format: Literal["standard"]
    signing: list[str]
    headers: dict[str, str]
    retry: str | dict[str, Any]
    timeout_seconds: int
    rate_per_second: float | None
    max_in_flight: int
    ordering: Literal["none"]
    disable_after: dict[str, int] | None
    keep_response: bool
    metadata: dict[str, Any]
    state: Literal["active", "disabled"]
    health: Literal["ok", "failing", "open"]
    disabled: Disabled | None
    version: int
    created_by: Actor
    created_at: Time
    updated_at: Time
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


class DeliveriesOfWebhookQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which of a webhook's deliveries to list."""

    state: Annotated[
        list[State] | None, Meta(description="repeat for more than one")
    ] = None
    type: Annotated[
        list[str] | None, Meta(description="patterns of types; repeat for more")
    ] = None
    event_id: str | None = None
    since: Annotated[TimeIn | None, Meta(description="created then or later")] = None
    until: Annotated[TimeIn | None, Meta(description="created before")] = None
    status_code: Annotated[
        Annotated[int, Meta(ge=100, le=599)] | None,
        Meta(description="what the last attempt was answered"),
    ] = None
    at_least: AtLeast = None


class DeliveryQuery(DeliveriesOfWebhookQuery, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to list."""

    webhook_id: str | None = None


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
