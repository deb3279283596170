"""Prints the house into docs/architecture.md: `python -m tests.support.tree`.

One line for each module, the first sentence of its docstring, between two markers. A test
compares; this rewrites.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.source import LAYERS, ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- tree: written by `python -m tests.support.tree` -->"
END = "<!-- end of tree -->"
COLUMN = 30  # where the sentences begin

_COMMENT = re.compile(r"^-- ?", re.MULTILINE)


def tree() -> str:
    """The house, a line for each module."""
    lines = [line for layer in LAYERS for line in _folder(ROOT / layer, 0)]
    return "\n".join([*lines, *_tests()])


def rewritten(document: str) -> str:
    """The document with the section between the markers as it should be."""
    before, rest = document.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n```text\n{tree()}\n```\n\n{END}{after}"


def _folder(folder: Path, depth: int) -> Iterator[str]:
    """A package: its own line, its modules, then the packages in it."""
    yield _line(depth, f"{folder.name}/", _first_sentence(folder / "__init__.py"))
    for file in sorted([*folder.glob("*.py"), *folder.glob("[0-9]*.sql")]):
        if file.name != "__init__.py":
            yield _line(depth + 1, file.name, _first_sentence(file))
    for inner in sorted(folder.iterdir()):
        if (inner / "__init__.py").exists():
            yield from _folder(inner, depth + 1)


def _tests() -> Iterator[str]:
    folder = ROOT / "tests"
    yield _line(0, "tests/", _first_sentence(folder / "__init__.py"))
    for inner in sorted(folder.iterdir()):
        if (inner / "__init__.py").exists():
            yield _line(1, f"{inner.name}/", _first_sentence(inner / "__init__.py"))


def _line(depth: int, name: str, sentence: str) -> str:
    return f"{'  ' * depth + name:<{COLUMN}}{sentence}".rstrip()


def _first_sentence(file: Path) -> str:
    """Of a module's docstring, or of the comment that an SQL file begins with."""
    text = file.read_text("utf-8")
    if file.suffix == ".sql":
        text = _COMMENT.sub("", text)
    else:
        text = ast.get_docstring(ast.parse(text)) or ""
    paragraph = " ".join(text.split("\n\n", 1)[0].split())
    return re.split(r"(?<=\.) ", paragraph)[0].rstrip(".")


def main() -> None:
    """Rewrite the section."""
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
