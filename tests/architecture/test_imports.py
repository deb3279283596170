"""The arrows: who may import whom.

workers ──▶ migrations      api
   │                         │
   └──────▶ projections ◀────┘
                 │
                 ▼
              domain
"""

import ast
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support.source import LAYERS, Module, imported, modules

# Our own layers and other people's packages that a layer may use.
ALLOWED = {
    "domain": {"eventsourcing", "msgspec"},
    "projections": {
        "domain",
        "cryptography",
        "eventsourcing",
        "msgspec",
        "opentelemetry",
        "prometheus_client",
        "psycopg",
        "psycopg_pool",
        "structlog",
    },
    "migrations": {"psycopg"},
    "workers": {
        "domain",
        "projections",
        "migrations",
        "aiohttp",
        "click",
        "httpcore",  # with httpx: the second sender's connections
        "httpx",
        "msgspec",
        "opentelemetry",
        "psycopg",
        "rich",
        "structlog",
        "uvicorn",
        "uvloop",
        "yarl",  # with aiohttp
    },
    "api": {
        "domain",
        "projections",
        "jsonschema_rs",
        "litestar",
        "msgspec",
        "prometheus_client",
        "psycopg",
        "structlog",
    },
}
# The domain decides; it does not read, send, wait or run.
IMPURE = {
    "asyncio",
    "concurrent",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "urllib.request",
}
# Bounded contexts; `log` is everybody's.
CONTEXTS = {"tenancy", "webhooks", "consumers", "audit", "identity", "intake"}
# Who puts contexts of their own layer together.
ASSEMBLERS = {
    "domain/application.py",
    "domain/catalog.py",
    "projections/registry.py",
    "workers/cli.py",
    "workers/worker.py",  # the worker process: handoff, lanes and sender in one loop
    "api/app.py",
    "api/openapi.py",  # describes what every context takes and gives
}
ASSEMBLING_FOLDERS = {"dev"}  # everything in one process


def test_layers_import_what_is_below_them_only() -> None:
    wrong = [
        f"{module}: {name}"
        for module in modules()
        for name in sorted(module.imports)
        if not _is_allowed(module.layer, name.partition(".")[0])
    ]
    assert wrong == []


def _is_allowed(layer: str, package: str) -> bool:
    is_ours = package == layer or package in ALLOWED[layer]
    return is_ours or package in sys.stdlib_module_names


def test_the_domain_does_nothing_but_decide() -> None:
    wrong = [
        f"{module}: {name}"
        for module in modules("domain")
        for name in sorted(module.imports)
        if name in IMPURE or name.partition(".")[0] in IMPURE
    ]
    assert wrong == []


def test_contexts_do_not_import_each_other() -> None:
    wrong = [
        f"{module}: {name}"
        for module in modules()
        if module.folder in CONTEXTS | {"log"}
        for name in sorted(module.imports)
        if (other := _context(name)) and other != module.folder
    ]
    assert wrong == []


def test_files_at_a_layers_root_leave_its_contexts_to_the_assemblers() -> None:
    """They may look down, into the contexts of a lower layer."""
    wrong = [
        f"{module}: {name}"
        for module in modules()
        if str(module) not in ASSEMBLERS
        and module.folder not in CONTEXTS | ASSEMBLING_FOLDERS
        for name in sorted(module.imports)
        if _context(name) and name.startswith(f"{module.layer}.")
    ]
    assert wrong == []


def _context(name: str) -> str | None:
    """The context that an imported name belongs to."""
    layer, _, rest = name.partition(".")
    folder = rest.partition(".")[0]
    return folder if layer in LAYERS and folder in CONTEXTS else None


def test_the_assemblers_exist() -> None:
    assert {str(module) for module in modules()} >= ASSEMBLERS


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_stand_at_the_top(layer: str) -> None:
    """One inside a function hides an arrow, mostly a cycle."""
    hidden = [
        f"{module}:{node.lineno}"
        for module in modules(layer)
        for function in module.functions()
        for node in ast.walk(function)
        if imported(node)
    ]
    assert hidden == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_there_are_no_cycles() -> None:
    known = {module.name: module for module in modules()}
    graph = {name: _edges(module, known) for name, module in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def _edges(module: Module, known: dict[str, Module]) -> set[str]:
    """The modules it imports: `a.b` is a module, or else a name in module `a`."""
    targets = set()
    for name in module.imports:
        found = name if name in known else name.rpartition(".")[0]
        if found in known and found != module.name:
            targets.add(found)
    return targets
