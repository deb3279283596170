"""`daybook doctor`: what is wrong, if anything, and what to do about it."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from domain import clock
from migrations import runner
from projections import figures, health, postgres, startup
from projections.figures import Owed, Workers
from projections.health import Checkpoint
from projections.postgres import Link
from projections.sql import Queries

QUERIES = Queries("workers", "doctor.sql")
MOST_APART_SECONDS = 2.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    is_well: bool
    what: str
    detail: str


async def examine(url: str, folders: runner.Folders = runner.NONE) -> list[Finding]:
    """Look at everything; a database that does not answer is the only finding."""
    try:
        findings = [await asyncio.to_thread(_schema, url, folders)]
        if findings[0].is_well:
            findings += await _inside(url)
    except postgres.AWAY as error:
        hint = "is it running, and is the URL right?"
        return [
            Finding(False, "database", f"does not answer, {hint} ({error})".strip())
        ]
    return findings


def _schema(url: str, folders: runner.Folders) -> Finding:
    with psycopg.connect(url, connect_timeout=5) as connection:
        try:
            missing = runner.pending(connection, folders)
        except runner.MigrationError as error:
            return Finding(False, "schema", str(error))
    if missing:
        names = ", ".join(migration.name for migration in missing)
        return Finding(False, "schema", f"run `daybook migrate`: pending are {names}")
    return Finding(True, "schema", "every migration is applied")


async def _inside(url: str) -> list[Finding]:
    findings = [await _safety(url)]
    link = Link(url, "daybook_worker", "doctor")
    try:
        connection = await link.connection()
        found = await health.checkpoints(connection)
        findings += [_projection(one) for one in found]
        findings.append(_workers(await figures.workers(connection)))
        findings.append(_owed(await figures.owed(connection)))
        telling = await startup.telling_settings(await link.connection())
        findings.append(_server_log(telling))
        findings.append(await _clock(link))
        [log] = await link.rows(QUERIES["log"])
        findings.append(_log(log))
        [server] = await link.rows(QUERIES["server"])
        findings.append(_connections(server, await link.rows(QUERIES["ours"])))
    finally:
        await link.close()
    return findings


async def _safety(url: str) -> Finding:
    try:
        await startup.check(url, *startup.API, *startup.WORKER)
    except startup.Refused as error:
        return Finding(False, "safety", str(error))
    detail = (
        "commits are durable (fsync, full_page_writes, synchronous_commit are on), tenants "
        "are kept apart by the database"
    )
    return Finding(True, "safety", detail)


def _server_log(telling: Sequence[str]) -> Finding:
    if telling:
        detail = (
            f"statements, and the values in them, are written there: {', '.join(telling)}. "
            "Set log_min_error_statement = panic and log_statement = none"
        )
        return Finding(False, "server log", detail)
    return Finding(True, "server log", "no statement is written there with its values")


def _projection(one: Checkpoint) -> Finding:
    what = f"projection {one.name}"
    lag = f"{one.lag_events} events behind, moved {one.seconds_since_advance:.0f} s ago"
    match one.state:
        case "paused":
            detail = f"paused by {one.paused_by}, {lag}: `daybook projections resume`"
            return Finding(False, what, detail)
        case "needs_newer_code":
            return Finding(False, what, f"needs newer code ({one.error}), {lag}")
        case "stopped":
            detail = f"stopped, {lag}: {one.error}. See `daybook projections errors`"
            return Finding(False, what, detail)
    if one.is_stuck:
        return Finding(False, what, f"{lag}: is `daybook work` running?")
    return Finding(True, what, lag if one.lag_events else "up to date")


def _workers(found: Workers) -> Finding:
    if not found.alive:
        return Finding(False, "workers", "none lives: start `daybook work`")
    detail = f"{found.alive} alive, {found.orphans} webhooks without one"
    return Finding(True, "workers", detail)


def _owed(found: Owed) -> Finding:
    detail = f"{found.owed} owed, {found.retrying} of them wait for a retry"
    return Finding(True, "deliveries", detail)


async def _clock(link: Link) -> Finding:
    """How far this machine's clock is from the database's, as far as one can tell."""
    before = clock.now()
    [row] = await link.rows(QUERIES["clock"])
    after = clock.now()
    doubt = (after - before).total_seconds() / 2
    apart = (row.now - before).total_seconds() - doubt
    detail = f"{abs(apart):.3f} s from the database's, give or take {doubt:.3f} s"
    if abs(apart) - doubt > MOST_APART_SECONDS:
        # A receiver refuses signatures that are five minutes old, or of the future.
        return Finding(False, "clock", f"{detail}: let NTP set both")
    return Finding(True, "clock", detail)


def _log(row: Any) -> Finding:
    return Finding(True, "log", f"{row.events} events, the database has {row.size}")


def _connections(row: Any, ours: Sequence[Any]) -> Finding:
    """All processes' together, on all machines: the server's limit is for all of them."""
    purposes = ", ".join(f"{each.connections} {each.purpose}" for each in ours)
    sums = sum(each.connections for each in ours)
    detail = (
        f"{row.used} of {row.most} in use, {sums} of them Daybook's"
        f"{f' ({purposes})' if purposes else ''}; Postgres {row.version}"
    )
    if row.used >= row.most * 0.9:
        detail += ": raise max_connections, or run fewer processes"
        return Finding(False, "connections", detail)
    return Finding(True, "connections", detail)
