"""Health: is this process alive, can it serve, and does everything behind it move.

`live` and `ready` are for whoever starts and balances processes, `system` for alerts. Names
and figures are for the operator alone; everybody else learns the status.
"""

import asyncio
import resource
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from litestar import get

from api import answers
from api.answers import Answer
from api.errors import RETRY_AFTER
from api.operation import public
from api.request import ApiRequest
from api.services import Services
from domain.errors import Unavailable
from projections import health, startup
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
    seen = await _look(request.services)
    return _answer(request, _checks(request.services, seen), None)


@get("/health/system", **public())
async def system(request: ApiRequest) -> Answer:
    """The same, and every projection moves or has nothing to do."""
    seen = await _look(request.services, projections=True)
    checkpoints = seen.checkpoints if seen else []
    return _answer(request, _checks(request.services, seen), checkpoints)


class _Seen(NamedTuple):
    """What the database says, and how soon."""

    ms: float
    schema: str
    is_migrated: bool
    undurable: list[str]
    checkpoints: list[Checkpoint]


async def _look(services: Services, *, projections: bool = False) -> _Seen | None:
    """None: it is away, or as good as away."""
    begun = time.monotonic()
    try:
        async with (
            asyncio.timeout(_PATIENCE_SECONDS),
            services.operator.connection() as connection,
        ):
            schema = await health.schema_version(connection)
            ms = round((time.monotonic() - begun) * 1000, 1)
            undurable = await startup.undurable(connection)
            # A newer schema is fine: it comes before the code that needs it.
            is_migrated = schema >= SCHEMA_VERSION
            checkpoints: list[Checkpoint] = []
            if is_migrated and projections:
                checkpoints = await health.checkpoints(connection)
            if is_migrated:
                names = [each.name for each in services.contexts.every_projection]
                is_migrated = not await health.without_checkpoint(connection, names)
    except (Unavailable, TimeoutError):
        return None
    return _Seen(ms, schema, is_migrated, undurable, checkpoints)


def _checks(services: Services, seen: _Seen | None) -> dict[str, Check]:
    memory = _memory(services.settings.memory_limit_mb)
    if seen is None:
        return {
            "database": {"status": "away", "ms": None},
            "migrations": {"status": "unknown", "version": None},
            "memory": memory,
            "configuration": {"status": "unknown", "unsafe": []},
        }
    # What start-up refuses can be changed in a server that runs.
    is_safe = not seen.undurable
    return {
        "database": {"status": "ok", "ms": seen.ms},
        "migrations": {
            "status": "ok" if seen.is_migrated else "pending",
            "version": seen.schema,
        },
        "memory": memory,
        "configuration": {
            "status": "ok" if is_safe else "unsafe",
            "unsafe": seen.undurable,
        },
    }


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
