"""Which deliveries to list."""

from typing import Annotated

from msgspec import Meta

from api.pagination import PageQuery
from api.shapes import AtLeast, TimeIn
from domain.webhooks.delivery import State


class DeadLetterQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which of a webhook's dead deliveries to list."""

    type: Annotated[
        list[str] | None, Meta(description="patterns of types; repeat for more")
    ] = None
    event_id: str | None = None
    replay_id: Annotated[
        str | None, Meta(description="without it, those of replays are listed as well")
    ] = None
    since: Annotated[
        TimeIn | None,
        Meta(description="created then or later; one of a replay is created with it"),
    ] = None
    until: Annotated[TimeIn | None, Meta(description="created before")] = None
    status_code: Annotated[
        Annotated[int, Meta(ge=100, le=599)] | None,
        Meta(description="what the last attempt was answered"),
    ] = None
    at_least: AtLeast = None


class DeliveriesOfWebhookQuery(
    DeadLetterQuery, kw_only=True, forbid_unknown_fields=True
):
    """Which of a webhook's deliveries to list."""

    state: Annotated[
        list[State] | None, Meta(description="repeat for more than one")
    ] = None


class DeliveryQuery(DeliveriesOfWebhookQuery, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to list."""

    webhook_id: str | None = None
