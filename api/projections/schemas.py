"""What is sent to look after projections, and how they, their errors and rebuilds look."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from api.shapes import ErrorId, TenantId, Time

_LogPosition = Annotated[int, Meta(description="a place in the log of all tenants")]


class StartRebuild(Struct, forbid_unknown_fields=True):
    """What to make anew."""

    tenant_id: Annotated[
        str | None,
        Meta(description="this tenant's rows only, in place; left out: all rows"),
    ] = None
    accept: Annotated[
        bool,
        Meta(
            description="go live even if the new rows differ from the old ones; also for "
            "a rebuild that waits, ready, to be accepted"
        ),
    ] = False


class Parity(Struct):
    """Both sets of rows at the same position: equal rows, equal figures."""

    equal: bool
    live: list[Any]
    rebuilt: list[Any]


class Rebuild(Struct, kw_only=True):
    """A rebuild: running, ready (it waits to be accepted), switched, cancelled, failed."""

    projection: str
    tenant_id: TenantId | None
    version: int
    state: str
    accept: bool
    position: _LogPosition
    target: _LogPosition
    rate_events_per_second: float | None
    remaining_seconds: float | None
    parity: Parity | None
    error: str | None
    asked_by: str
    started_at: Time
    finished_at: Time | None


class Projection(Struct, kw_only=True):
    """A projection: running, paused, stopped (before an event) or needs_newer_code."""

    name: str
    version: int
    state: str
    paused_by: str | None
    lag_events: int
    seconds_since_advance: float
    error: str | None
    rebuild: Rebuild | None


class ProjectionPage(Struct):
    """A page of projections, by name."""

    data: list[Projection]
    next: str | None
    prev: str | None


class ProjectionError(Struct, kw_only=True):
    """An event that could not be applied: stopped, parked or skipped."""

    id: ErrorId
    log_position: _LogPosition
    tenant_id: TenantId
    stream: str
    state: str
    error: str
    decided_by: str | None
    retry: bool
    at: Time


class ProjectionErrorPage(Struct):
    """A page of errors, in the order of the log."""

    data: list[ProjectionError]
    next: str | None
    prev: str | None
