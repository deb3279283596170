"""Events a second through a rebuild, against the library's ProjectionRunner.

Ours rebuilds the read model `streams` beside its live rows, with parity check and switch.
The baseline is the library's runner on its own recorder, keeping the same table, with the
same index, by an upsert for each event and its tracking row.
"""

import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
import uvloop
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.conninfo import conninfo_to_dict

from benchmarks import filling, measure
from projections import postgres
from projections.log.streams import Streams
from projections.rebuild import Rebuilder
from projections.runner import Runner

EVENTS = 200_000
BASELINE_EVENTS = 3_000
UPSERT = """
    insert into public.baseline_heads (
        tenant_id, generation, stream, version, position, updated_at)
    values (%s, 1, %s, %s, %s, now())
    on conflict (tenant_id, generation, stream) do update
    set version = excluded.version, position = excluded.position,
        updated_at = excluded.updated_at
"""


class Thing(Aggregate):
    """Something that changes once."""

    @event("Begun")
    def __init__(self, note: str) -> None:
        self.note = note


class Things(Application[UUID]):
    """Writes the baseline's events with the library's own recorder."""

    name = "things"


class Heads(PostgresTrackingRecorder):
    """The same view as ours, an upsert an event, in the transaction of its tracking."""

    def move(self, tenant_id: UUID, event: Any, tracking: Tracking) -> None:
        """One event."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(
                UPSERT,
                (
                    tenant_id,
                    str(event.originator_id),
                    event.originator_version,
                    tracking.notification_id,
                ),
            )
            self._insert_tracking(cursor, tracking)


class HeadsProjection(Projection[Heads]):
    """The library's projection."""

    name = "heads"
    topics = ()
    tenant = uuid4()

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """One event."""
        self.view.move(self.tenant, domain_event, tracking)


def stock_environment(url: str) -> dict[str, str]:
    """The library's settings for this database."""
    given = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(given["dbname"]),
        "POSTGRES_HOST": str(given["host"]),
        "POSTGRES_PORT": str(given["port"]),
        "POSTGRES_USER": str(given["user"]),
        "POSTGRES_PASSWORD": str(given.get("password", "")),
        "POSTGRES_SCHEMA": "public",
    }


def prepare(url: str) -> None:
    """Both logs, filled."""
    with psycopg.connect(url, autocommit=True) as connection:
        filling.events(connection, 1, EVENTS, tenants=100, types=["a.x", "b.x"])
        connection.execute(
            "create table public.baseline_heads (like daybook.stream_heads including all)"
        )
        connection.execute("vacuum analyze")
    things = Things(stock_environment(url))
    for start in range(0, BASELINE_EVENTS, 500):
        things.save(
            *(Thing("x" * 150) for _ in range(min(500, BASELINE_EVENTS - start)))
        )
    things.close()


def stock_rate(url: str) -> float:
    """Events a second of the library's runner, from the first on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("truncate public.baseline_heads")
        connection.execute("drop table if exists public.heads_tracking")
    begun = time.monotonic()
    with ProjectionRunner(
        application_class=Things,
        projection_class=HeadsProjection,
        view_class=Heads,
        env=stock_environment(url),
    ) as runner:
        last = runner.app.recorder.max_notification_id()
        runner.wait(last, timeout=300)
    return BASELINE_EVENTS / (time.monotonic() - begun)


async def catch_up(url: str) -> None:
    """The live rows, to the head."""
    runner = Runner(url, Streams())
    while await runner.step():
        pass


async def rebuild(url: str) -> float:
    """Events a second of one rebuild, until the pointer has moved."""
    streams = Streams()
    rebuilder = Rebuilder(url, [streams])
    async with await postgres.connect(url, "daybook_worker", "bench") as connection:
        await connection.execute(
            "insert into rebuilds (rebuild_id, name, version, state, target, asked_by)"
            " values (%s, 'streams', 1, 'running', %s, 'bench')",
            (uuid4(), EVENTS),
        )
        begun = time.monotonic()
        while not await _is_switched(connection):
            await rebuilder.step(connection)
        seconds = time.monotonic() - begun
        while await rebuilder.step(connection):
            pass  # sweeps the old rows: not part of what readers wait for
    return EVENTS / seconds


async def _is_switched(connection: postgres.Connection) -> bool:
    row = await postgres.one(
        connection, "select count(*) as n from rebuilds where state = 'running'"
    )
    return bool(row.n == 0)


def main() -> None:
    """The command."""
    with measure.database() as url:
        measure.say(f"filling the logs with {EVENTS:,} and {BASELINE_EVENTS:,} events")
        prepare(url)
        uvloop.run(catch_up(url))
        value, baseline = measure.interleaved(
            lambda: uvloop.run(rebuild(url)), lambda: stock_rate(url)
        )
        params = {"events": EVENTS, "baseline_events": BASELINE_EVENTS}
        measure.figure(
            "rebuild", "events_per_second", value, "events/s",
            "eventsourcing ProjectionRunner", baseline, params,
        )  # fmt: skip


if __name__ == "__main__":
    main()
