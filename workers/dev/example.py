"""An example in development mode: an application with a past, and programs beside it.

Which ones there are is what the folder `examples` holds; nothing here names one.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast
from uuid import UUID

from domain.application import Log
from projections.context import BoundedContext, Contexts
from projections.log.recorder import environment
from projections.settings import SettingsError
from workers.dev.files import project


class Example(Protocol):
    """What the module `examples.<name>.demonstration` has."""

    CONTEXTS: str  # as in DAYBOOK_CONTEXTS
    PROGRAMS: Mapping[str, Path]  # what to run beside it, by name
    HIDDEN: str  # in lines of programs that are not shown

    def load(self, log: Log, tenant_id: UUID, report: Callable[[int], None]) -> None:
        """Record its past, once; `report` hears of how many events there are."""

    def screenful(self) -> Sequence[str]:
        """Commands to type, once `daybook env` was evaluated."""


def find(name: str) -> Example:
    """The example of this name. Raises SettingsError."""
    try:
        found = importlib.import_module(f"examples.{name}.demonstration")
    except ImportError as error:
        known = ", ".join(_names()) or "none here"
        raise SettingsError(f"no example {name!r}; to choose from: {known}") from error
    return cast(Example, found)


async def load(
    example: Example,
    contexts: Sequence[BoundedContext],
    url: str,
    tenant_id: UUID,
    report: Callable[[int], None],
) -> None:
    """Record its past, in a thread: the log blocks. Raises DomainError."""

    def run() -> None:
        log = Log(environment(url, "daybook_app"), Contexts(contexts).aggregates)
        try:
            example.load(log, tenant_id, report)
        finally:
            log.close()

    await asyncio.to_thread(run)


def _names() -> list[str]:
    found = (project() / "examples").glob("*/demonstration.py")
    return sorted(path.parent.name for path in found)
