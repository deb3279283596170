"""Projections, their errors and rebuilds in their public shapes."""

import msgspec

from api import shapes
from api.projections.schemas import Parity, Projection, ProjectionError, Rebuild
from domain import ids
from projections import control
from projections.health import Checkpoint


def projection(row: Checkpoint, unfinished: control.Rebuild | None) -> Projection:
    """A projection."""
    return Projection(
        name=row.name,
        version=row.version,
        state=row.state,
        paused_by=row.paused_by,
        lag_events=row.lag_events,
        seconds_since_advance=round(row.seconds_since_advance, 1),
        error=row.error,
        rebuild=rebuild(unfinished) if unfinished else None,
    )


def rebuild(row: control.Rebuild) -> Rebuild:
    """A rebuild with its progress."""
    return Rebuild(
        projection=row.name,
        tenant_id=None if row.tenant_id is None else ids.encode("ten", row.tenant_id),
        version=row.version,
        state=row.state,
        accept=row.accept,
        position=row.position,
        target=row.target,
        rate_events_per_second=_rounded(row.rate),
        remaining_seconds=_rounded(row.remaining_seconds),
        parity=msgspec.convert(row.parity, Parity | None),
        error=row.error,
        asked_by=row.asked_by,
        started_at=shapes.time(row.started_at),
        finished_at=shapes.time_or_none(row.finished_at),
    )


def error(row: control.Poisoned) -> ProjectionError:
    """An event that could not be applied."""
    return ProjectionError(
        id=str(row.error_id),
        log_position=row.log_position,
        tenant_id=ids.encode("ten", row.tenant_id),
        stream=row.stream,
        state=row.state,
        error=row.error,
        decided_by=row.decided_by,
        retry=row.retry,
        at=shapes.time(row.at),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
