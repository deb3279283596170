"""Ten thousand webhooks in a hundred tenants, a million deliveries owed: what grows.

Filling windows is measured from outside, with few slots, so that no request stays long: the
receiver holds its answers until every slot of the worker is taken; then it lets ten go, and
takes the time until ten more have come. That is settle, look, compose, send. The baseline
is the same with ten thousand owed. It is done again after many deliveries, and while a
transaction held open elsewhere keeps Postgres from clearing their rows away.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from benchmarks import measure
from benchmarks.rig import stage, usage
from benchmarks.rig.stage import Receiver, Tenant
from domain import ids
from projections.vault import webhook_place
from tests.support.builders import SECRET, VAULT

RELEASED = 10
WARM = 10  # rounds that do not count: requests of the beginning were held for long
LIMIT_MB = 300
TABLES = """
    select t.table_name from information_schema.tables t
    where t.table_schema = 'daybook' and t.table_type = 'BASE TABLE'
        and exists (
            select from information_schema.columns c
            where (c.table_schema, c.table_name) = (t.table_schema, t.table_name)
                and c.column_name = 'webhook_id')
        and not exists (
            select from information_schema.columns c
            where (c.table_schema, c.table_name) = (t.table_schema, t.table_name)
                and c.is_identity = 'YES')
"""
# Each tenant's one webhook again, under other ids, whatever columns there are.
TWINS = """
    insert into daybook.{table}
    select (jsonb_populate_record(m, jsonb_build_object(
        'webhook_id', n.webhook_id, 'number', n.number, 'sealed', n.sealed))).*
    from daybook.{table} m
    join unnest(%s::uuid[], %s::uuid[], %s::int[], %s::bytea[])
        as n (tenant_id, webhook_id, number, sealed) using (tenant_id)
    where m.webhook_id is not null
"""
SIZES = """
    select c.relname as name, pg_total_relation_size(c.oid) as bytes,
        pg_indexes_size(c.oid) as index_bytes, c.reltuples::bigint as live,
        s.n_dead_tup as dead, s.n_tup_upd + s.n_tup_del as changes
    from pg_class c
    join pg_stat_user_tables s on s.relid = c.oid
    where s.schemaname = 'daybook'
"""


class Size(NamedTuple):
    """How large everything is."""

    tenants: int
    webhooks: int  # a tenant
    events: int  # a tenant; each is owed to all of its webhooks
    few_events: int  # in the baseline
    rounds: int
    drained: int


SLOTS = 50
LARGE = Size(100, 100, 100, 1, 200, 200_000)
QUICK = Size(4, 5, 40, 20, 5, 200)


class Ground(NamedTuple):
    """Two databases, alike but for what is owed."""

    few: str
    many: str


class Outcome(NamedTuple):
    """What came of one run."""

    refill_ms: float
    peak_mb: float
    taken_seconds: float  # until the worker owned all lanes
    tables: dict[str, dict[str, int]]

    def changed(self) -> list[str]:
        """The tables in which rows change, or which they leave: those can bloat."""
        return [name for name, table in self.tables.items() if table["changes"]]

    def megabytes(self, names: list[str]) -> float:
        """Of some tables, with their indexes."""
        return sum(self.tables[name]["bytes"] for name in names) / 2**20


@contextmanager
def prepared(receiver: Receiver, size: Size) -> Iterator[Ground]:
    """Both databases."""
    with measure.database() as url:
        webhook = {
            "url": f"{receiver.url}/hook",
            "event_types": ["bench.*"],
            "timeout_seconds": 30,  # answers are held back
        }
        with stage.serving(url) as made:
            tenants = [stage.a_tenant(made, [webhook]) for _ in range(size.tenants)]
        stage.hand_off(url)
        multiply(url, tenants, size.webhooks)
        with stage.copy(url, "few") as few:
            owe(few, tenants, size.few_events, size.webhooks)
            owe(url, tenants, size.events, size.webhooks)
            yield Ground(few, url)


def multiply(url: str, tenants: list[Tenant], webhooks: int) -> None:
    """So many webhooks for each tenant that has one."""
    rows: list[tuple[UUID, UUID, int, bytes]] = []
    for tenant in tenants:
        tenant_id = ids.decode("ten", tenant.id)
        for number in range(2, webhooks + 1):
            webhook_id = ids.new()
            sealed = VAULT.seal(SECRET, webhook_place(tenant_id, webhook_id, 1))
            rows.append((tenant_id, webhook_id, number, sealed.data))
    columns = [list(column) for column in zip(*rows, strict=True)]
    with stage.connect(url) as db:
        for (table,) in db.execute(TABLES.encode()).fetchall():
            db.execute(TWINS.format(table=table).encode(), columns)


def owe(url: str, tenants: list[Tenant], events: int, webhooks: int) -> None:
    """Publish so many events for each of the tenants, and hand them off."""
    deliveries = len(tenants) * events * webhooks
    measure.say(f"preparing {deliveries:,} deliveries")
    event = {"type": "bench.happened", "data": {"x": "x" * 790}}
    with stage.serving(url) as made:
        for tenant in tenants:
            stage.publish(made, tenant, [event] * events)
    owed = stage.hand_off(url)
    assert owed == deliveries, f"{owed} owed"


def refill(
    receiver: Receiver, source: str, size: Size, *, drained: int, is_held: bool = False
) -> Outcome:
    """One run on a copy: first so many deliveries, perhaps with a transaction open."""
    receiver.ask("reset")
    with (
        ExitStack() as stack,
        stage.copy(source) as url,
        stage.connect(url) as db,
        stage.connect(url) as elsewhere,
    ):
        if is_held:
            elsewhere.execute("begin isolation level repeatable read")
            elsewhere.execute("select count(*) from daybook.checkpoints")
        if not drained:
            receiver.ask("hold")
        stack.callback(receiver.ask, "open")
        with stage.working(url, 1, DAYBOOK_CONCURRENCY=str(SLOTS)) as pids:
            taken = _seconds_until_all_taken(db)
            stage.until(lambda: receiver.count() >= drained)
            median, peak = _rounds(receiver, size), usage.peak_mb(pids[0])
            receiver.ask("open")
        return Outcome(median, peak, taken, sizes(db))


def memory(receiver: Receiver, source: str, drained: int) -> float:
    """The most MB that a worker with the usual settings has resident."""
    receiver.ask("reset")
    with stage.copy(source) as url, stage.working(url, 1) as pids:
        stage.until(lambda: receiver.count() >= drained)
        return usage.peak_mb(pids[0])


def _seconds_until_all_taken(db: psycopg.Connection[Any]) -> float:
    free = "select count(*) from daybook.lanes where owner is null"
    begun = time.monotonic()
    stage.until(lambda: not stage.scalar(db, free))
    return time.monotonic() - begun


def _rounds(receiver: Receiver, size: Size) -> float:
    """The median of some refills, in ms."""
    receiver.ask("hold")
    stage.until(lambda: receiver.ask("report")["held"] >= SLOTS)
    for _ in range(WARM + size.rounds):
        receiver.ask(f"release/{RELEASED}")
        stage.until(lambda: not receiver.ask("report")["wanted"])
    refills: list[float] = receiver.ask("report")["refills_ms"]
    return statistics.median(refills[WARM:])


def sizes(db: psycopg.Connection[Any]) -> dict[str, dict[str, int]]:
    """Of every table, as they are; a worker's changes are counted when it has ended."""
    db.execute("analyze")
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(SIZES.encode()).fetchall()
    return {row.pop("name"): row for row in rows}


def figures(size: Size, few: Outcome, many: Outcome, later: dict[str, Outcome]) -> None:
    """Print what came of all runs."""
    owed = size.tenants * size.events * size.webhooks
    params: dict[str, Any] = {
        "webhooks": size.tenants * size.webhooks,
        "tenants": size.tenants,
        "owed": owed,
        "slots": SLOTS,
        "released": RELEASED,
    }
    few_owed = size.tenants * size.few_events * size.webhooks
    for name, outcome in {"owed": many, **later}.items():
        measure.figure(
            "scale", f"refill_{name}", outcome.refill_ms, "ms", f"{few_owed:,} owed",
            few.refill_ms, params | {"taken_seconds": round(outcome.taken_seconds, 2)},
            less_is_better=True,
        )  # fmt: skip
    for name, outcome in later.items():
        names = outcome.changed()
        measure.figure(
            "scale", f"size_{name}", outcome.megabytes(names), "MB",
            "the same tables before", many.megabytes(names),
            params | {"tables": {name: outcome.tables[name] for name in names}},
            less_is_better=True,
        )  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="With a million deliveries owed")
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    size = QUICK if parser.parse_args().quick else LARGE
    with stage.receiving() as receiver, prepared(receiver, size) as ground:

        def run(source: str, drained: int = 0, is_held: bool = False) -> Outcome:
            outcome = refill(receiver, source, size, drained=drained, is_held=is_held)
            measure.say(f"after {drained:,}: {outcome[:3]}")
            return outcome

        few, many = run(ground.few), run(ground.many)
        later = {
            "after_many": run(ground.many, size.drained),
            "snapshot_held": run(ground.many, size.drained, is_held=True),
        }
        peak = memory(receiver, ground.many, size.drained)
    figures(size, few, many, later)
    peak = max(peak, *(one.peak_mb for one in (many, *later.values())))
    measure.figure(
        "scale", "worker_rss", peak, "MB", "the limit", LIMIT_MB, {},
        less_is_better=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
