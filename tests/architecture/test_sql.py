"""SQL stands in `.sql` files beside its reader; each statement is explained and used."""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from projections.sql import Queries
from tests.support.source import ROOT, Module, modules

FILES = sorted(
    path
    for layer in ("projections", "workers", "api")
    for path in (ROOT / layer).rglob("*.sql")
)
NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

# How a text begins that is SQL and not English.
SQL = re.compile(
    r"""\s*(
        select\s .* \b(from|set_config|pg_\w+|to_regclass|exists|version)\b
        | (insert\s+into | delete\s+from | truncate | copy)\s+ [\w.]+
        | update\s+ [\w.]+ \s+set\s
        | (create|alter|drop)\s+ (table|index|role|database|schema|function|policy)\s
        | (listen|notify)\s+ \w+ \s*$
        | reset\s+role | set\s+(local|session|role)\s
        | (grant|revoke)\s .* \son\s
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
# Where SQL may stand in Python, and why.
EXCEPTIONS = {
    "migrations/runner.py": "it runs before there is anything else",
    "projections/postgres.py": "the one statement that enters a tenant, at the lock itself",
    "projections/log/wakeup.py": "LISTEN: channel names, which take no parameters",
    "workers/dev/database.py": "makes the database that everything else is in",
}


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def statements(path: Path) -> Iterator[tuple[str, str]]:
    pieces = NAME.split(path.read_text(encoding="utf-8"))[1:]
    yield from zip(pieces[::2], pieces[1::2], strict=True)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_every_statement_is_explained(path: Path) -> None:
    silent = [name for name, body in statements(path) if not body.startswith("-- ")]
    assert silent == []


@pytest.mark.parametrize("path", FILES, ids=label)
def test_nothing_stands_before_the_first_name(path: Path) -> None:
    assert NAME.split(path.read_text(encoding="utf-8"))[0].strip() == ""


@pytest.mark.parametrize("path", FILES, ids=label)
def test_no_name_is_given_twice(path: Path) -> None:
    """The second would silently take the first one's place."""
    given = Counter(name for name, _ in statements(path))
    assert [name for name, count in given.items() if count > 1] == []


@pytest.mark.parametrize("path", FILES, ids=label)
def test_every_statement_is_used(path: Path) -> None:
    texts, composed = _texts(), re.compile("|".join(_composed()) or r"(?!)")
    unused = [
        name
        for name, _ in statements(path)
        if name not in texts and not composed.fullmatch(name)
    ]
    assert unused == []


@cache
def _texts() -> set[object]:
    return {node.value for module in modules() for node in module.strings()}


@cache
def _composed() -> list[str]:
    """Names that are put together: `QUERIES[f"{way}_{'up' if x else 'down'}"]`."""
    return [
        "".join(_pattern(part) for part in index.values)
        for module in modules()
        for _, index in _lookups(module)
        if isinstance(index, ast.JoinedStr)
    ]


def _pattern(part: ast.AST) -> str:
    if isinstance(part, ast.Constant):
        return re.escape(str(part.value))
    assert isinstance(part, ast.FormattedValue)
    choices = _results(part.value)
    return f"({'|'.join(choices)})" if choices else r"\w+"


def test_every_statement_that_is_asked_for_exists() -> None:
    missing = [
        f"{module}:{index.lineno} {name}"
        for module in modules()
        for queries, index in _lookups(module)
        for name in _results(index)
        if name not in _value(importlib.import_module(module.name), queries)
    ]
    assert missing == []


def _lookups(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """Each `QUERIES[...]`: what it is called there, and what stands in the brackets."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Subscript):
            queries = ast.unparse(node.value)
            if queries.endswith("QUERIES"):
                yield queries, node.slice


def _results(node: ast.expr) -> list[str]:
    """The texts that an expression may be: itself, or either side of a choice."""
    if isinstance(node, ast.IfExp):
        return _results(node.body) + _results(node.orelse)
    return [str(node.value)] if isinstance(node, ast.Constant) else []


def _value(loaded: ModuleType, dotted: str) -> Queries:
    found: object = loaded
    for name in dotted.split("."):
        found = getattr(found, name)
    assert isinstance(found, Queries)
    return found


def test_there_is_no_sql_in_python() -> None:
    found = [
        f"{module}:{node.lineno} {node.value[:60]!r}"
        for module in modules()
        if str(module) not in EXCEPTIONS
        for node in module.strings()
        if SQL.match(node.value)
    ]
    assert found == []


def test_every_exception_is_still_needed() -> None:
    with_sql = {
        str(module)
        for module in modules()
        if any(SQL.match(node.value) for node in module.strings())
    }
    assert with_sql == EXCEPTIONS.keys()
