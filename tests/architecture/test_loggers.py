"""Loggers: each names its module, and docs/operating.md names each of them."""

import ast
import re
from collections.abc import Iterator

from tests.support.source import ROOT, modules

LISTED = set(
    re.findall(
        r"^\| `(daybook\.\w+)` \|",
        (ROOT / "docs" / "operating.md").read_text("utf-8"),
        re.MULTILINE,
    )
)
# Those that have no logger: what libraries say, and the files and lines about logs.
BESIDE = {"daybook.libraries", "daybook.errors", "daybook.logs"}


def named() -> Iterator[tuple[str, str | None]]:
    """Every place that makes a logger, and its name where it is written out."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _called(node) == "get_logger":
                [name] = node.args or [None]
                text = name.value if isinstance(name, ast.Constant) else None
                yield f"{module}:{node.lineno}", text


def _called(call: ast.Call) -> str | None:
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


def test_each_is_named_after_what_it_tells_of() -> None:
    """`daybook.` and one word: also the name of the file that its lines go to."""
    wrong = [
        place
        for place, name in named()
        if not re.fullmatch(r"daybook\.[a-z]+", name or "")
    ]
    assert wrong == []


def test_each_is_described() -> None:
    assert {name for _, name in named()} == LISTED - BESIDE
