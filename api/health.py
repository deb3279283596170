"""Health: is this process alive, can it serve, and does everything behind it move.

`live` and `ready` are for whoever starts and balances processes, `system` for alerts. Names
and figures are for the operator alone; everybody else learns the status.
"""

import asyncio
import resource
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from litestar import get

from api import answers
from api.answers import Answer
from api.errors import RETRY_AFTER
from api.operation import public
from api.request import ApiRequest
from api.services import Services
from domain.errors import Unavailable
from projections import health
from projections.health import Checkpoint
from projections.schema_version import SCHEMA_VERSION

VERSION = version("daybook")
_PATIENCE_SECONDS = 2.0  # with the database, before it counts as away
_STATM = Path("/proc/self/statm")

Check = dict[str, Any]


@get("/health/live", **public())
async def live() -> Answer:
    """The process answers."""
    return answers.json({"status": "live"})


@get("/health/ready", **public())
async def ready(request: ApiRequest) -> Answer:
    """It can serve: database, schema, memory, configuration."""
    return _answer(request, await _checks(request.services), None)


@get("/health/system", **public())
async def system(request: ApiRequest) -> Answer:
    """The same, and every projection moves or has nothing to do."""
    checks = await _checks(request.services)
    checkpoints: list[Checkpoint] = []
    if checks["database"]["status"] == "ok" == checks["migrations"]["status"]:
        async with request.services.operator.connection() as connection:
            checkpoints = await health.checkpoints(connection)
    return _answer(request, checks, checkpoints)


def _answer(
    request: ApiRequest,
    checks: dict[str, Check],
    checkpoints: list[Checkpoint] | None,
) -> Answer:
    status = "ready"
    if any(one.is_stuck for one in checkpoints or ()):
        status = "behind"
    if any(check["status"] != "ok" for check in checks.values()):
        status = "unready"
    content: dict[str, Any] = {"status": status}
    if _is_operator(request):
        content |= {"version": VERSION, "checks": checks}
        if checkpoints is not None:
            content["projections"] = [_shown(one) for one in checkpoints]
    if status == "ready":
        return answers.json(content)
    return answers.json(content, status=503, headers=RETRY_AFTER)


async def _checks(services: Services) -> dict[str, Check]:
    database, migrations = await _database(services)
    return {
        "database": database,
        "migrations": migrations,
        "memory": _memory(services.settings.memory_limit_mb),
        # The process would not have started with settings it cannot read.
        "configuration": {"status": "ok"},
    }


async def _database(services: Services) -> tuple[Check, Check]:
    """Whether it answers, and holds at least the schema this code was written for."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async with services.operator.connection() as connection:
                found = await health.schema_version(connection)
    except (Unavailable, TimeoutError):
        return {"status": "away", "ms": None}, {"status": "unknown", "version": None}
    elapsed = round((time.monotonic() - begun) * 1000, 1)
    # A newer one is fine: it comes before the code that needs it.
    status = "ok" if found >= SCHEMA_VERSION else "pending"
    return {"status": "ok", "ms": elapsed}, {"status": status, "version": found}


def _memory(limit_mb: int) -> Check:
    used = _resident_mb()
    return {"status": "ok" if used <= limit_mb else "full", "rss_mb": used}


def _resident_mb() -> int:
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:  # no Linux: the highest it has been has to do
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return pages * resource.getpagesize() // 2**20


def _state(one: Checkpoint) -> str:
    return "stuck" if one.state == "running" and one.is_stuck else one.state


def _shown(one: Checkpoint) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "state": _state(one),
        "lag_events": one.lag_events,
        "seconds_since_advance": round(one.seconds_since_advance, 1),
        "error": one.error,
    }


def _is_operator(request: ApiRequest) -> bool:
    authorization = dict(request.scope["headers"]).get(b"authorization")
    return request.services.authenticator.is_operator(authorization)


HANDLERS = (live, ready, system)
