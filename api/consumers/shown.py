"""Consumers in their public shape."""

from api import shapes
from api.consumers.schemas import Consumer
from projections.consumers import views


def consumer(row: views.Consumer) -> Consumer:
    """A consumer as it is shown. Positions have no holes, so the lag is their distance."""
    return Consumer(
        name=row.name,
        event_types=row.event_types,
        streams=row.streams,
        filter=row.filter,
        start=row.start,
        position=row.position,
        lag_events=max(0, row.head - row.position),
        version=row.version,
        created_by=shapes.actor(row.created_by),
        created_at=shapes.time(row.created_at),
        updated_at=shapes.time(row.updated_at),
    )
