"""Figures of the database for /metrics and the doctor: the whole, nothing of any tenant.

They are the same in every process that shows them: take one, do not add them up. They are
made for one answer and not kept: while the database is away there are none, for an old
figure would lie.
"""

from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, StateSetMetricFamily

from projections import rows
from projections.health import Checkpoint
from projections.postgres import Connection
from projections.sql import Queries
from projections.telemetry import Families

QUERIES = Queries("projections", "figures.sql")
STATES = ("running", "paused", "stopped", "needs_newer_code")
MOST_COUNTED = 100_000  # rows that are looked at: 20 ms or so, however many there are


class Owed(NamedTuple):
    """What is still to be delivered, and what of it waits for a retry."""

    owed: int
    retrying: int


class Workers(NamedTuple):
    """How many live, and of how many webhooks none of them owns the lanes."""

    alive: int
    orphans: int


async def owed(connection: Connection) -> Owed:
    """What is still to be delivered, each figure up to MOST_COUNTED; for workers."""
    params = {"most": MOST_COUNTED}
    [found] = await rows.many(connection, Owed, QUERIES["owed"], params)
    return found


async def workers(connection: Connection) -> Workers:
    """Who works; for workers."""
    params = {"most": MOST_COUNTED}
    [found] = await rows.many(connection, Workers, QUERIES["workers"], params)
    return found


def of_projections(found: Sequence[Checkpoint]) -> Families:
    """How far projections are."""
    lag = _gauge(
        "daybook_projection_lag_events", "Events that a projection has not seen yet."
    )
    since = _gauge(
        "daybook_projection_seconds_since_advance",
        "Seconds since a projection last moved.",
    )
    stuck = _gauge(
        "daybook_projection_stuck_seconds",
        "Seconds for which a projection has had something to do and has not moved.",
    )
    state = StateSetMetricFamily(
        "daybook_projection_state",
        "What a projection does, or why it does nothing.",
        labels=["projection"],
    )
    for one in found:
        lag.add_metric([one.name], one.lag_events)
        since.add_metric([one.name], one.seconds_since_advance)
        stuck.add_metric([one.name], one.stuck_seconds)
        state.add_metric([one.name], {name: one.state == name for name in STATES})
    return [lag, since, stuck, state]


def of_deliveries(owed: Owed | None, workers: Workers | None) -> Families:
    """What is owed, and who is there to deliver it."""
    waiting = GaugeMetricFamily(
        "daybook_owed_deliveries",
        "Deliveries that are not finished, counted up to 100,000.",
        labels=["waits_for"],
    )
    alive = GaugeMetricFamily("daybook_workers", "Workers whose lease holds.")
    orphans = GaugeMetricFamily(
        "daybook_unowned_webhooks", "Webhooks that no living worker sends for."
    )
    if owed is not None:
        waiting.add_metric(["attempt"], owed.owed - owed.retrying)
        waiting.add_metric(["retry"], owed.retrying)
    if workers is not None:
        alive.add_metric([], workers.alive)
        orphans.add_metric([], workers.orphans)
    return [waiting, alive, orphans]


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["projection"])
