"""Deliveries that were given up, told to whoever wants to know: at most once a minute."""

from uuid import UUID

from eventsourcing.domain import event

from domain import model
from domain.model import Aggregate
from domain.webhooks import subscription

REPORT_SECONDS = 60  # between two reports of one webhook


class Deaths(Aggregate):
    """A webhook's dead deliveries since the last report.

    Each report is a stream of its own: the webhook's version is its configuration's, and
    must not move because a receiver is down.
    """

    TOPIC = "daybook/deaths"

    @event("Created", topic="daybook.delivery.dead")
    def __init__(
        self, id: str, webhook_id: str, count: int, since: str, last_position: int
    ) -> None:
        """`since` and `last_position`: of the first of them, and the last event's."""


def originator_id(tenant_id: UUID, webhook_id: UUID, number: int) -> str:
    """The stream of a webhook's report `number`: below the webhook's own."""
    stream = f"{subscription.stream(webhook_id)}/deaths/{number}"
    return model.originator_id(tenant_id, stream)
