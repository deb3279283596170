"""The product's own source, read for the rules about it; nothing here is imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "projections", "workers", "api", "migrations")


@dataclass(frozen=True)
class Module:
    """One Python file of a layer."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def name(self) -> str:
        """`domain.webhooks.retry`; a package by its folder."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def layer(self) -> str:
        """The first folder."""
        return self.path.relative_to(ROOT).parts[0]

    @property
    def folder(self) -> str | None:
        """The folder within the layer; None for a file at the layer's root."""
        parts = self.path.relative_to(ROOT).parts
        return parts[1] if len(parts) > 2 else None

    @cached_property
    def tree(self) -> ast.Module:
        """What it says."""
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    @cached_property
    def imports(self) -> set[str]:
        """Every name it imports, `from a import b` as `a.b`."""
        return {name for node in ast.walk(self.tree) for name in imported(node)}

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, inner ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def strings(self) -> Iterator[ast.Constant]:
        """Every text in it that is not a docstring."""
        described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(self.tree)
            if isinstance(node, described)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(self.tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and id(node) not in docstrings:
                yield node


def imported(node: ast.AST) -> list[str]:
    """The names that this statement imports; none when it is another statement."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@cache
def modules(*layers: str) -> list[Module]:
    """The Python files of these layers; of all when none is named. Each is read once."""
    return [
        Module(path)
        for layer in layers or LAYERS
        for path in sorted((ROOT / layer).rglob("*.py"))
    ]
