"""What is sent to make, change, rotate and match webhooks."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.places import Place
from api.shapes import MOST_INTEGER, AsOf, Time, WebhookId
from domain.webhooks.retry import DEFAULT as DEFAULT_RETRY
from domain.webhooks.retry import Schedule
from domain.webhooks.settings import (
    DAY,
    DEFAULT_SIGNING,
    DisableAfter,
    Format,
    OnDead,
    Ordering,
    Scheme,
)

LONGEST_OVERLAP = 7 * DAY

_Whole = Annotated[int, Meta(ge=0, le=MOST_INTEGER)]


class WebhookSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a webhook is told; null or left out means the default."""

    url: Annotated[str, Meta(description="https, port 443, a public host")]
    event_types: Annotated[
        list[str], Meta(description="patterns: a type, `prefix.*`, or `*`")
    ]
    streams: Annotated[
        list[str] | None,
        Meta(description="patterns: a stream, or the beginning of one with `*`"),
    ] = msgspec.field(default_factory=lambda: ["*"])
    filter: Annotated[
        dict[str, Any] | None, Meta(description="what an event must say")
    ] = None
    name: str | None = None
    description: str | None = None
    headers: Annotated[
        dict[str, str] | None,
        Meta(description="sent along; shown as `***`, which sent back keeps the value"),
    ] = msgspec.field(default_factory=dict)
    format: Format | None = "standard"
    signing: Annotated[
        list[Scheme] | None, Meta(description="`v1`: HMAC-SHA256, `v1a`: Ed25519")
    ] = msgspec.field(default_factory=lambda: list(DEFAULT_SIGNING))
    retry: Annotated[
        str | Schedule | None,
        Meta(description="fast, durable, standard, or delays of your own"),
    ] = DEFAULT_RETRY
    timeout_seconds: Annotated[_Whole | None, Meta(description="1 to 30")] = 15
    rate_per_second: Annotated[float | None, Meta(description="null: no limit")] = None
    max_in_flight: Annotated[_Whole | None, Meta(description="1 to 50")] = 10
    ordering: Annotated[
        Ordering | None, Meta(description="`stream`: one after the other, per stream")
    ] = "none"
    on_dead: Annotated[
        OnDead | None,
        Meta(description="with ordering: whether a dead delivery is passed"),
    ] = "continue"
    disable_after: DisableAfter | None = DisableAfter()
    keep_response: Annotated[
        bool | None, Meta(description="the beginning of each answer is kept")
    ] = False
    networks: Annotated[
        list[str] | None,
        Meta(description="blocks in which every address of the host must lie"),
    ] = None
    metadata: Annotated[
        dict[str, Any] | None, Meta(description="your own notes, up to 8 KiB")
    ] = msgspec.field(default_factory=dict)


class CreateWebhook(WebhookSettings, kw_only=True, forbid_unknown_fields=True):
    """A webhook to make, with a secret of one's own if need be. From `start` on it is owed
    what matches, also if that is older than the webhook."""

    start: Place | None = "now"
    secret: Annotated[
        str | None, Meta(description="`whsec_` and the base64 of 24 to 64 bytes")
    ] = None


class WebhookChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """The settings to replace, as above; null goes back to the default."""

    url: str | UnsetType = UNSET
    event_types: list[str] | UnsetType = UNSET
    streams: list[str] | UnsetType | None = UNSET
    filter: dict[str, Any] | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    format: Format | UnsetType | None = UNSET
    signing: list[Scheme] | UnsetType | None = UNSET
    retry: str | Schedule | UnsetType | None = UNSET
    timeout_seconds: _Whole | UnsetType | None = UNSET
    rate_per_second: float | UnsetType | None = UNSET
    max_in_flight: _Whole | UnsetType | None = UNSET
    ordering: Ordering | UnsetType | None = UNSET
    on_dead: OnDead | UnsetType | None = UNSET
    disable_after: DisableAfter | UnsetType | None = UNSET
    keep_response: bool | UnsetType | None = UNSET
    networks: list[str] | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


class RotateSecret(Struct, forbid_unknown_fields=True):
    """For how long those before sign too, and the next one if it is to be one's own."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP)] = DAY
    secret: Annotated[
        str | None, Meta(description="`whsec_` and the base64 of 24 to 64 bytes")
    ] = None


class Rotated(Struct):
    """What signs from now on; `secret` is shown this once."""

    secret: str | None
    public_key: str | None
    previous_expires_at: Time | None


class WebhookQuery(Struct, forbid_unknown_fields=True):
    """As it is, or as it was."""

    as_of: AsOf = None


class MatchEvent(Struct, kw_only=True, forbid_unknown_fields=True):
    """An event as it might be published."""

    type: str
    stream: str | None = None
    data: Annotated[Raw, Meta(extra_json_schema={"type": "object"})] = msgspec.field(
        default_factory=lambda: Raw(b"{}")
    )
    subject: str | None = None
    source: str | None = None
    metadata: Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})] = (
        msgspec.field(default_factory=Raw)
    )


class Match(Struct):
    """Whether one webhook would be owed the event, and what refuses it first."""

    webhook_id: WebhookId
    matches: bool
    refused_by: Literal["state", "event_types", "streams", "filter"] | None
    detail: str | None


class Matches(Struct):
    """One for each webhook, oldest first."""

    data: list[Match]
